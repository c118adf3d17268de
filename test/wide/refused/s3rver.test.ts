import { refusedStore } from "../refused-store.ts";
import { versionOf } from "../servers/find.ts";
import { startS3rver } from "../servers/start.ts";

refusedStore("s3rver", { version: versionOf("s3rver"), start: startS3rver, step: /^(?:path-proof|create-existing)$/ });
