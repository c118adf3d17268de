import { afterAll, beforeAll } from "vitest";
import type { ObjectStore } from "../../src/store/object-store.ts";
import { memoryStore } from "../../src/store/memory-store.ts";
import { s3Store } from "../../src/store/s3.ts";
import { fakeS3, type FakeS3 } from "../../src/testing/s3-server/fake-s3.ts";
import { freshBucket, type FreshBucket } from "../support/minio-client.ts";
import { sharedGofakes3, sharedMinio } from "../support/servers.ts";
import { storeContract } from "./contract.ts";
import { useCredentials } from "./credentials.ts";

const memory = memoryStore();
storeContract("memory", () => memory);

const minio = sharedMinio();
useCredentials(minio);
let onMinio: FreshBucket;
let onGofakes3: FreshBucket | undefined;
let embedded: FakeS3;
beforeAll(async () => {
  embedded = await fakeS3({ credentials: minio });
  onMinio = await freshBucket(minio);
  const gofakes3 = sharedGofakes3();
  if (gofakes3 !== undefined) onGofakes3 = await freshBucket(gofakes3);
});

afterAll(() => embedded.close());

const storeIn = (bucket: FreshBucket | undefined, prefix: string): ObjectStore => s3Store(bucket?.url(prefix) ?? "");
storeContract("the embedded server, signatures checked", () => s3Store(embedded.url("test", "deep/prefix")));
storeContract("MinIO", () => storeIn(onMinio, "deep/prefix"));
storeContract("MinIO without a prefix", () => storeIn(onMinio, ""));
// The run itself says so when it was told to go without gofakes3.
if (sharedGofakes3() !== undefined) storeContract("gofakes3", () => storeIn(onGofakes3, "p"), { missingKey: [412] });
