import { refusedStore } from "../refused-store.ts";
import { versionOf } from "../servers/find.ts";
import { startRclone } from "../servers/start.ts";

refusedStore("rclone serve s3", {
  version: versionOf("rclone-old"),
  start: () => startRclone("rclone-old"),
  step: /^(?:path-proof|create-existing)$/,
});
