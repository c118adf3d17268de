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
