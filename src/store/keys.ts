/** What no store could carry out is refused before it is sent: keys and ETags that S3 does not take, or takes for something else. */
import { ConfigError } from "../errors.ts";
import { show } from "../options.ts";

/** S3's limit, in bytes of UTF-8, for the prefix and the key together. */
export const MAX_KEY_BYTES = 1024;

const encoder = new TextEncoder();

export function byteLength(text: string): number {
  return encoder.encode(text).byteLength;
}

/** C0 and C1 control characters and unpaired surrogates: they break listings (XML) or signatures. */
export function hasControlCharacters(text: string): boolean {
  // eslint-disable-next-line no-control-regex -- finding them is the purpose.
  return /[\u0000-\u001f\u007f-\u009f]|\p{Surrogate}/u.test(text);
}

export function checkKey(url: string, prefix: string, key: string): void {
  if (typeof key !== "string" || key === "")
    throw new ConfigError(url, [`the key of an object must be a string that is not empty, got ${show(key)}`]);
  const bytes = byteLength(prefix + key);
  if (bytes > MAX_KEY_BYTES)
    throw new ConfigError(url, [`the key ${show(key)} has ${bytes} bytes with its prefix: at most ${MAX_KEY_BYTES} are possible`]);
  if (hasControlCharacters(key)) throw new ConfigError(url, [`the key ${show(key)} has control characters`]);
}

/** Rule W8: an empty ETag or a star, quoted or not, overwrites on several servers. */
export function checkEtag(url: string, etag: string): void {
  if (typeof etag !== "string" || /^(?:W\/)?"?\s*\*?\s*"?$/.test(etag)) {
    throw new ConfigError(url, [
      `the ETag of a condition is ${show(etag)}: expected one that the store gave (an empty one or a star would overwrite anything)`,
    ]);
  }
  if (!/^[\x20-\x7e]+$/.test(etag)) throw new ConfigError(url, [`the ETag of a condition is ${show(etag)}: expected printable ASCII`]);
}
