import { refusedStore } from "../refused-store.ts";
import { versionOf } from "../servers/find.ts";
import { startS3mock } from "../servers/start.ts";

refusedStore("S3Mock", { version: versionOf("s3mock"), start: startS3mock, step: /^(?:create|replace)-race$/, onlyRaces: true });
