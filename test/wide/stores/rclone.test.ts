import { goodStore } from "../good-store.ts";
import { versionOf } from "../servers/find.ts";
import { startRclone } from "../servers/start.ts";

// One process; two before one folder were not tried.
goodStore("rclone serve s3", {
  version: versionOf("rclone"),
  start: async () => [await startRclone()],
  answers: { replaceMissing: 404, replaceStale: 412, replaceEmpty: 200, notModified: 304, deleteStale: 412 },
});
