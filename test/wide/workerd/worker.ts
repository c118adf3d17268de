/** A Worker that campaigns and locks: bundled by the test, run by Miniflare. Its bindings say where the store is. */
import { S3Client } from "@aws-sdk/client-s3";
import { type LeaseLostError, Locks, Manager, s3Store } from "s3-consensus";

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
      const route = routes[new URL(request.url).pathname];
      return route === undefined ? new Response(null, { status: 404 }) : Response.json(await route(store));
    } catch (error) {
      return Response.json({ error: String(error), code: (error as { code?: string }).code }, { status: 500 });
    }
  },
};

const routes: Readonly<Record<string, (store: ReturnType<typeof s3Store>) => Promise<object>>> = {
  "/answers": answers,
  "/lead": lead,
  "/lose": lose,
  "/lock": lock,
  "/one-shot": oneShot,
};

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Leads until it is told that it does not any more. */
async function lose(store: ReturnType<typeof s3Store>): Promise<object> {
  const manager = new Manager({ store, name: "race", node: "worker", ttlMs: 3_000, pollMs: 500 });
  const term = await manager.campaign({ waitMs: 20_000 });
  await Promise.race([new Promise((resolve) => term.signal.addEventListener("abort", resolve, { once: true })), pause(30_000)]);
  const { code, reason } = (term.signal.reason ?? {}) as Partial<LeaseLostError>;
  return { token: term.fencingToken, aborted: term.signal.aborted, isHeld: term.isHeld(), code, reason, released: await term.release() };
}

/** Waits for the lock, works under it for longer than its ttl, and looks at it as another would. */
async function lock(store: ReturnType<typeof s3Store>): Promise<object> {
  const locks = new Locks({ store, node: "worker", defaults: { ttlMs: 2_000, waitMs: 20_000 } });
  const token = await locks.withLock("k", async (held) => {
    await pause(5_000);
    held.assertHeld();
    return held.fencingToken;
  });
  const { acquired, released, held, lost } = locks.stats();
  return { token, acquired, released, held, lost, after: (await locks.inspect("k")) ?? null };
}

/** As a function would: nothing is renewed, nothing waits. */
async function oneShot(store: ReturnType<typeof s3Store>): Promise<object> {
  const shot = new Locks({ store, node: "worker" }).oneShot({ remainingMs: 20_000 });
  return await shot.tryWithLock("k", ({ fencingToken }) => fencingToken);
}

async function lead(store: ReturnType<typeof s3Store>): Promise<object> {
  const manager = new Manager({ store, name: "race", node: "worker", ttlMs: 3_000, pollMs: 500 });
  const term = await manager.campaign({ waitMs: 20_000 });
  const until = Date.now() + 7_000;
  while (Date.now() < until && term.isHeld()) await pause(100);
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
