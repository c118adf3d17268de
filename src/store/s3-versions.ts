/** What stood at a key before, where the bucket keeps it. For people and for repairs; no decision about a lease is made from it. */
import type { ListedObject } from "./s3-answer.ts";
import type { S3Store } from "./s3-store.ts";

export interface EarlierVersion {
  readonly id: string;
  readonly lastModifiedMs: number | undefined;
  /** `undefined`: it was deleted then, or it is larger than asked for, or gone by now. */
  readonly body: Uint8Array | undefined;
  readonly isDeletion: boolean;
}

export type Earlier =
  /** The newest first. `more`: there are older ones. */
  | { readonly kind: "kept"; readonly versions: readonly EarlierVersion[]; readonly more: boolean }
  /** The bucket keeps none of this key. */
  | { readonly kind: "none" }
  /** The store does not say: no right to see them, no such thing as versions, no answer. */
  | { readonly kind: "hidden"; readonly reason: string };

/** One LIST, and a GET for each version. Never throws for what the store answers. */
export async function earlierVersions(
  store: S3Store,
  key: string,
  o: { readonly limit: number; readonly maxBytes: number; readonly signal: AbortSignal },
): Promise<Earlier> {
  // A key sorts before all that only begin like it; what stands there now is none of the earlier ones.
  const listed = await store.examine({ op: "list", key, versions: true, limit: o.limit + 2 });
  if ("kind" in listed) return { kind: "hidden", reason: listed.error.message };
  if (listed.status >= 300) return { kind: "hidden", reason: refusal(listed.status, listed.code) };
  const whole = store.wholeKey(key);
  const earlier = (listed.listing?.objects ?? [])
    .filter((object) => object.key === whole && object.isLatest !== true && object.versionId !== undefined)
    .toSorted((a, b) => (b.lastModifiedMs ?? 0) - (a.lastModifiedMs ?? 0));
  if (earlier.length === 0) return { kind: "none" };
  const versions: EarlierVersion[] = [];
  for (const object of earlier.slice(0, o.limit)) {
    o.signal.throwIfAborted();
    versions.push(await read(store, key, object, o.maxBytes));
  }
  return { kind: "kept", versions, more: earlier.length > o.limit };
}

async function read(store: S3Store, key: string, object: ListedObject, maxBytes: number): Promise<EarlierVersion> {
  const { versionId: id = "", lastModifiedMs, isDeletion = false } = object;
  const about = { id, lastModifiedMs, isDeletion };
  if (isDeletion || object.size > maxBytes) return { ...about, body: undefined };
  const answer = await store.examine({ op: "get", key, versionId: id, maxBytes });
  return { ...about, body: "kind" in answer || answer.status >= 300 || answer.tooLarge === true ? undefined : answer.body };
}

function refusal(status: number, code: string | undefined): string {
  const said = `${code ?? "no S3 error"}, status ${status}`;
  return status === 403
    ? `s3:ListBucketVersions and s3:GetObjectVersion are not allowed (${said})`
    : `the store does not list versions (${said})`;
}
