import { inject } from "vitest";
import { goodStore } from "../good-store.ts";
import { startMinioNodes } from "../servers/minio-nodes.ts";
import { minioVersionOf } from "../servers/find.ts";

goodStore("MinIO, two nodes of two drives", {
  version: () => minioVersionOf(inject("minioRunner")),
  start: startMinioNodes,
  answers: { replaceMissing: 404, replaceStale: 412, replaceEmpty: 200, notModified: 304, deleteStale: 204 },
  versioned: true,
});
