/** A Worker that campaigns: bundled by the test, run by Miniflare. Its bindings say where the store is. */
import { S3Client } from "@aws-sdk/client-s3";
import { Manager, s3Store } from "s3-consensus";

interface Bindings {
  readonly BUCKET: string;
  readonly ENDPOINT: string;
  readonly KEY: string;
  readonly SECRET: string;
}

/** The narrow calls below the Manager, which this package uses by no public door. */
interface Calls {
  ensureSafe(): Promise<object>;
  get(key: string, options?: object): Promise<{ readonly kind: string; readonly etag?: string }>;
  create(key: string, body: Uint8Array): Promise<{ readonly kind: string; readonly status?: number; readonly etag?: string }>;
  replace(key: string, etag: string, body: Uint8Array): Promise<{ readonly kind: string; readonly status?: number }>;
  list(prefix: string): Promise<{ readonly kind: string }>;
  remove(key: string): Promise<unknown>;
}

export default {
  async fetch(request: Request, env: Bindings): Promise<Response> {
    const client = new S3Client({
      endpoint: env.ENDPOINT,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: { accessKeyId: env.KEY, secretAccessKey: env.SECRET },
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });
    const store = s3Store({ bucket: env.BUCKET, prefix: "app", client });
    try {
      const path = new URL(request.url).pathname;
      return Response.json(path === "/answers" ? await answers(store) : await lead(store));
    } catch (error) {
      return Response.json({ error: String(error), code: (error as { code?: string }).code }, { status: 500 });
    }
  },
};

async function lead(store: ReturnType<typeof s3Store>): Promise<object> {
  const manager = new Manager({ store, name: "race", node: "worker", ttlMs: 3_000, pollMs: 500 });
  const term = await manager.campaign({ waitMs: 20_000 });
  const until = Date.now() + 7_000;
  while (Date.now() < until && term.isHeld()) await new Promise((resolve) => setTimeout(resolve, 100));
  const isHeld = term.isHeld();
  await term.verify();
  const { renewals } = manager.stats() as { renewals?: number };
  return { token: term.fencingToken, isHeld, renewals, released: await term.release() };
}

async function answers(store: Calls): Promise<object> {
  const body = new TextEncoder().encode("{}");
  const verdict = await store.ensureSafe();
  const absent = await store.get("k");
  const created = await store.create("k", body);
  const again = await store.create("k", body);
  const same = await store.get("k", { ifNoneMatch: created.etag });
  const stale = await store.replace("k", '"0123456789abcdef0123456789abcdef"', body);
  const missing = await store.replace("missing", '"0123456789abcdef0123456789abcdef"', body);
  const list = await store.list("");
  const removed = await store.remove("k");
  const kinds = { absent, created, same, list };
  return {
    ...Object.fromEntries(Object.entries(kinds).map(([name, { kind }]) => [name, kind])),
    again: again.status,
    stale: stale.status,
    missing: missing.status,
    removed,
    verdict,
  };
}
