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
  answers: {},
  missingKey: [412],
  quoting: "unquoted",
});
