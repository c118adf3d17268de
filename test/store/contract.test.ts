import { afterAll, beforeAll } from "vitest";
import type { ObjectStore } from "../../src/store/object-store.ts";
import { memoryStore } from "../../src/store/memory-store.ts";
import { s3Store } from "../../src/store/s3.ts";
import { storeContract } from "./contract.ts";
import { startGofakes3, startMinio, useTestCredentials, type Server } from "./servers.ts";

useTestCredentials();
const memory = memoryStore();
storeContract("memory", () => memory);

let minio: Server;
let gofakes3: Server;
beforeAll(async () => {
  [minio, gofakes3] = await Promise.all([startMinio(), startGofakes3()]);
}, 60_000);
afterAll(async () => {
  await Promise.all([minio.stop(), gofakes3.stop()]);
});

const storeOn = (server: Server, prefix: string): ObjectStore => s3Store(`s3://test/${prefix}?endpoint=${server.endpoint}`);
storeContract("MinIO", () => storeOn(minio, "deep/prefix"));
storeContract("MinIO without a prefix", () => storeOn(minio, ""));
storeContract("gofakes3", () => storeOn(gofakes3, "p"), { missingKey: [412] });
