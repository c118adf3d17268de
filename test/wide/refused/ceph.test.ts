import { refusedStore } from "../refused-store.ts";
import { startCeph } from "../servers/ceph.ts";

let version = "";
refusedStore("Ceph RGW, a bucket that keeps versions", {
  version: () => version,
  start: async () => {
    const ceph = await startCeph();
    ({ version } = ceph);
    return ceph;
  },
  // One after another it is right most times, and not always.
  step: /^(?:create-existing|create-race|replace-race|replace-stale)$/,
  versioned: true,
});
