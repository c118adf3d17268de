import { ConfigError, messageOf } from "../errors.ts";
import type { TimedVersion } from "../lease/tenancy.ts";
import { decodeRecord, encodeRecord, MAX_RECORD_BYTES } from "../record/codec.ts";

const MARK = "s3c1.";
const MAX_CHARS: number = 2 * MAX_RECORD_BYTES;

/** Everything that goes on from a hand-off needs: the version, so that its first write needs no read. Letters, digits, `-`, `_` and a dot. */
export function handOffText(name: string, { etag, record }: TimedVersion): string {
  const bytes = new TextEncoder().encode(JSON.stringify([name, etag, new TextDecoder().decode(encodeRecord(name, record))]));
  const base64 = btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
  return MARK + base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @throws ConfigError for a text that `handOff` did not give. */
export function parseHandOff(text: unknown): { readonly name: string; readonly from: TimedVersion } {
  try {
    if (typeof text !== "string" || !text.startsWith(MARK) || text.length > MAX_CHARS) throw new Error(`it does not begin with ${MARK}`);
    const base64 = text.slice(MARK.length).trim().replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const parts: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    const [name, etag, record] = Array.isArray(parts) ? (parts as unknown[]) : [];
    if (typeof name !== "string" || typeof etag !== "string" || etag === "" || typeof record !== "string") throw new Error("it is cut off");
    const version = decodeRecord(name, new TextEncoder().encode(record));
    if (version.session !== undefined) throw new Error("it names a session");
    return { name, from: { etag, record: version } };
  } catch (e) {
    throw new ConfigError("Locks.resume", [`text is not what handOff() gave: ${messageOf(e)}`], { cause: e });
  }
}
