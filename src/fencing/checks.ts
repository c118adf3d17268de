/** What users pass to a fenced object, checked at the door. */
import { ConfigError, type Fence } from "../errors.ts";
import { keyFaults, signalFault } from "../lease/face-options.ts";
import { aNumber, aString, anInteger, checkOptions, required, show, throwFaults } from "../options.ts";
import { escapeName, nameFault } from "../record/keys.ts";
import type { ObjectStore } from "../store/object-store.ts";
import { MAX_BODY_BYTES } from "./pointer.ts";

const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_TIMEOUT_MS = 3_600_000;
/** The longest name of a body. */
const LONGEST_BODY = `${Number.MAX_SAFE_INTEGER}-${"0".repeat(32)}`;

/**
 * Where the pointer is, and what the keys of large bodies begin with. They are not below the pointer's own key: a server that keeps objects as
 * files has no room for both.
 * @throws ConfigError
 */
export function keysOf(store: ObjectStore, name: string): { readonly pointer: string; readonly bodies: string } {
  const fault = nameFault(name);
  throwFaults("fencedObject", fault === undefined ? [] : [`name is ${show(name)}: expected ${fault}`]);
  const keys = { pointer: `fenced/${escapeName(name)}`, bodies: `fenced-bodies/${escapeName(name)}/` };
  const longest = keys.bodies + LONGEST_BODY;
  throwFaults("fencedObject", keyFaults("name", longest));
  store.checkKey?.(longest);
  return keys;
}

export function checkedOptions(
  what: string,
  o: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number | undefined },
): { readonly signal: AbortSignal | undefined; readonly timeoutMs: number } {
  const timed = what === "put" || what === "open";
  checkOptions(what, o, { signal: signalFault, ...(timed ? { timeoutMs: aNumber("milliseconds", 100, MAX_TIMEOUT_MS) } : {}) });
  o.signal?.throwIfAborted();
  return { signal: o.signal, timeoutMs: o.timeoutMs ?? DEFAULT_TIMEOUT_MS };
}

const FENCE_SPEC = {
  key: required(aString("the key of the lease", (s) => s !== "")),
  fencingToken: required(anInteger("a fencing token", 1, Number.MAX_SAFE_INTEGER - 1)),
};

/** The fence, copied, and the check that comes before each request that writes: the lease's own, where one was given. */
export function checkedFence(name: string, fence: Fence): { readonly fence: Fence; readonly beforeSend: () => void } {
  if (typeof fence !== "object" || fence === null)
    throw new ConfigError(`fenced object ${show(name)}`, [
      `fence is ${show(fence)}: expected what is held (a term, a lock, a task's run), or { key, fencingToken }. A number alone does not say whose token it is`,
    ]);
  const { key, fencingToken } = fence;
  checkOptions(`fenced object ${show(name)}, fence`, { key, fencingToken }, FENCE_SPEC);
  const lease = fence as Fence & { assertHeld?: () => void };
  return {
    fence: { key, fencingToken },
    beforeSend: () => {
      if (typeof lease.assertHeld === "function") lease.assertHeld();
    },
  };
}

/** The bytes of a body, copied (a `Buffer`'s `slice` would not): they are sent again if need be, and must be the same then. @throws ConfigError. */
export function contentBytes(name: string, body: string | Uint8Array): Uint8Array {
  const fault = (what: string): ConfigError => new ConfigError(`fenced object ${show(name)}`, [`body ${what}`]);
  if (typeof body !== "string" && !(body instanceof Uint8Array)) throw fault(`is ${show(body)}: expected a text or a Uint8Array`);
  if (typeof body === "string" && /\p{Surrogate}/u.test(body))
    throw fault("has half of a surrogate pair, which UTF-8 has no bytes for: expected well-formed Unicode");
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : new Uint8Array(body);
  if (bytes.length > MAX_BODY_BYTES)
    throw fault(
      `has ${bytes.length} bytes: expected at most ${MAX_BODY_BYTES} (put the data elsewhere, under a fresh key, and its key here)`,
    );
  return bytes;
}
