import { goodStore } from "../good-store.ts";
import { startVersitygw } from "../servers/start.ts";
import { versionOf } from "../servers/find.ts";

goodStore("versitygw", {
  version: versionOf("versitygw"),
  // Two gateways before one folder: its conditions hold between processes.
  start: async () => {
    const first = await startVersitygw();
    return [first, await startVersitygw(first.dir)];
  },
  answers: { replaceMissing: 404, replaceStale: 412, replaceEmpty: 200, notModified: 304, deleteStale: 412 },
});
