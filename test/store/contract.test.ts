import { afterAll, beforeAll } from "vitest";
import { memoryStore } from "../../src/store/memory-store.ts";
import type { ObjectStore } from "../../src/store/object-store.ts";
import { s3Store } from "../../src/store/s3.ts";
import { fakeS3, type FakeS3 } from "../../src/testing/s3-server/fake-s3.ts";
import { freshBucket, type FreshBucket } from "../support/minio-client.ts";
import { sharedGofakes3, sharedMinio } from "../support/servers.ts";
import { type Reachable, storeContract } from "./contract.ts";
import { useCredentials } from "./credentials.ts";
import { reach } from "./reach.ts";

const memory = memoryStore();
storeContract("memory", () => memory);

const minio = sharedMinio();
const gofakes3 = sharedGofakes3();
useCredentials(minio);
let onMinio: FreshBucket;
let onGofakes3: FreshBucket | undefined;
let embedded: FakeS3;
beforeAll(async () => {
  embedded = await fakeS3({ credentials: minio });
  onMinio = await freshBucket(minio);
  if (gofakes3 !== undefined) onGofakes3 = await freshBucket(gofakes3);
});

afterAll(() => embedded.close());

const several = (behind: () => Reachable) => (): ObjectStore[] => Array.from({ length: 3 }, () => behind().open());
const storeIn = (bucket: FreshBucket | undefined, prefix: string): ObjectStore => s3Store(bucket?.url(prefix) ?? "");

const embeddedBehind = (): Reachable => reach({ ...minio, endpoint: embedded.endpoint }, "test", "deep/prefix");
storeContract("the embedded server, signatures checked", () => s3Store(embedded.url("test", "deep/prefix")), {
  behind: embeddedBehind,
  doors: several(embeddedBehind),
});

const minioBehind = (): Reachable => reach(minio, onMinio.bucket, "deep/prefix");
storeContract("MinIO", () => storeIn(onMinio, "deep/prefix"), { behind: minioBehind, doors: several(minioBehind) });
storeContract("MinIO without a prefix", () => storeIn(onMinio, ""));

// The run itself says so when it was told to go without gofakes3.
if (gofakes3 !== undefined) {
  const behind = (): Reachable => reach(gofakes3, onGofakes3?.bucket ?? "", "p");
  storeContract("gofakes3", () => storeIn(onGofakes3, "p"), {
    missingKey: [412],
    behind,
    doors: several(behind),
    checksSignatures: false,
  });
}
