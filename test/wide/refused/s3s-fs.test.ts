import { refusedStore } from "../refused-store.ts";
import { versionOf } from "../servers/find.ts";
import { startS3sFs } from "../servers/start.ts";

refusedStore("s3s-fs", { version: versionOf("s3s-fs"), start: startS3sFs, step: /^(?:create|replace)-race$/ });
