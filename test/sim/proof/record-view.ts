/** The records in the simulated store as the checks read them: their own few lines of JSON, nothing shared with the code under test. */

export interface RecordView {
  readonly state: string;
  readonly instance: string;
  readonly nonce: string;
  readonly holderNonce: string;
  readonly fencingToken: number;
  readonly version: number;
  readonly ttlMs: number;
  readonly marginMs: number;
  readonly endedBy?: string;
  readonly holdForMs?: number;
  readonly lockDelayMs?: number;
  readonly reservedFor?: string;
  readonly flag?: { readonly kind: string };
  /** The member that it is held through, by the path that the record gives. */
  readonly session?: { readonly member: string; readonly token: number };
}

/** The key of the member record that a lock names. */
export function memberKeyOf(view: RecordView | undefined): string | undefined {
  const path = view?.session?.member;
  return path === undefined ? undefined : `locks/${path.slice(path.lastIndexOf("members/"))}`;
}

const decoder = new TextDecoder();
const read = new WeakMap<Uint8Array, { readonly view: RecordView | undefined }>();

export function viewOf(body: Uint8Array | undefined): RecordView | undefined {
  if (body === undefined) return undefined;
  let known = read.get(body);
  if (known === undefined) read.set(body, (known = { view: parse(body) }));
  return known.view;
}

function parse(body: Uint8Array): RecordView | undefined {
  try {
    const value = JSON.parse(decoder.decode(body)) as Partial<RecordView>;
    return typeof value.fencingToken === "number" && typeof value.nonce === "string" ? (value as RecordView) : undefined;
  } catch {
    return undefined;
  }
}
