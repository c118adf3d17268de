import { startMinio } from "../../support/servers.ts";
import { goodStore } from "../good-store.ts";
import { minioVersion } from "../servers/find.ts";

goodStore("MinIO, four drives", {
  version: minioVersion,
  start: async () => [await startMinio({ drives: 4 })],
  answers: {},
  versioned: true,
});
