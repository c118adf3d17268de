import { goodStore } from "../good-store.ts";
import { versionOf } from "../servers/find.ts";
import { startRclone } from "../servers/start.ts";

// One process: its conditions are kept by a lock of its own, so two before one folder would have two winners.
goodStore("rclone serve s3", { version: versionOf("rclone"), start: async () => [await startRclone()], answers: {} });
