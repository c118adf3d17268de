import type { ObjectStore, Store } from "./object-store.ts";
import { settingsOf, settingsOfUrl, type Environment, type S3StoreOptions } from "./s3-options.ts";
import { S3Store } from "./s3-store.ts";

/** One URL is one store in a process, as long as anybody holds it. */
const byUrl = new Map<string, WeakRef<S3Store>>();

/**
 * A store on S3 or a server that speaks its language: `s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1`, or an object with
 * the same names and, if wanted, the user's own `S3Client`. Parameters: `endpoint`, `region`, `pathStyle`, `etagQuoting`
 * (`auto`, `quoted`, `unquoted`), `requesterPays`, `expectedBucketOwner`, `requestTimeout` (`5s`), `probe`. Credentials come from the AWS SDK's
 * own chain. No request is made before the first call.
 * @throws ConfigError naming every fault.
 */
export function s3Store(store: string | S3StoreOptions): Store & ObjectStore {
  const { process } = globalThis as { process?: { env?: Environment } };
  const env = process?.env ?? {};
  if (typeof store !== "string") return new S3Store(settingsOf(store, env), store.clock, store.random);
  const settings = settingsOfUrl(store, env);
  const known = byUrl.get(settings.url)?.deref();
  if (known !== undefined) return known;
  for (const [url, ref] of byUrl) if (ref.deref() === undefined) byUrl.delete(url);
  const made = new S3Store(settings);
  byUrl.set(settings.url, new WeakRef(made));
  return made;
}
