import { inject } from "vitest";
import { startMinio } from "../../support/servers.ts";
import { goodStore } from "../good-store.ts";
import { minioVersionOf } from "../servers/find.ts";

goodStore("MinIO, four drives", {
  version: () => minioVersionOf(inject("minioRunner")),
  start: async () => [await startMinio({ drives: 4 })],
  answers: { replaceMissing: 404, replaceStale: 412, replaceEmpty: 200, notModified: 304, deleteStale: 204 },
  versioned: true,
});
