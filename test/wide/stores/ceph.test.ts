import { goodStore } from "../good-store.ts";
import { startCeph } from "../servers/ceph.ts";

let version = "";
goodStore("Ceph RGW", {
  version: () => version,
  start: async () => {
    const ceph = await startCeph();
    ({ version } = ceph);
    return [ceph];
  },
  answers: { replaceMissing: 412, replaceQuoted: 412, replaceUnquoted: 200, replaceEmpty: 412, notModified: 304, deleteStale: 204 },
  missingKey: [412],
  quoting: "unquoted",
  // Who loses a race is often told 500, and nothing of his was written: "race-loser-500" of the embedded server.
  losers: ["refused", "unknown"],
});
