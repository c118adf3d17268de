/** The objects, with the last few versions of each, so that tests can roll back and reads can be stale. */
import { createHash } from "node:crypto";
import { ConfigError } from "../../errors.ts";

export interface StoredObject {
  readonly body: Buffer;
  /** MD5 of the body in hexadecimal, without quotes. */
  readonly etag: string;
  /** In milliseconds, not cut. */
  readonly lastModifiedMs: number;
  /** Content type, user metadata and their like, to be sent back. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

interface Slot {
  current: StoredObject | undefined;
  /** The newest first. */
  older: StoredObject[];
}

/** So many versions of each object are kept, the current one not counted. */
export const VERSIONS_KEPT = 10;

/** Hears of each change before it is seen. */
export type Keep = (key: string, object: StoredObject | undefined) => void;

export class Bucket {
  readonly name: string;
  readonly #slots = new Map<string, Slot>();
  readonly #keep: Keep | undefined;

  constructor(name: string, keep?: Keep) {
    this.name = name;
    this.#keep = keep;
  }

  get(key: string): StoredObject | undefined {
    return this.#slots.get(key)?.current;
  }

  /** The versions before the current one, the newest first. */
  older(key: string): readonly StoredObject[] {
    return this.#slots.get(key)?.older ?? [];
  }

  /** `undefined` deletes. */
  set(key: string, object: StoredObject | undefined): void {
    this.#keep?.(key, object);
    this.load(key, object);
  }

  /** `set` for what is kept already. */
  load(key: string, object: StoredObject | undefined): void {
    const slot = this.#slots.get(key);
    if (slot === undefined) {
      if (object !== undefined) this.#slots.set(key, { current: object, older: [] });
      return;
    }
    if (slot.current !== undefined) slot.older = [slot.current, ...slot.older].slice(0, VERSIONS_KEPT);
    slot.current = object;
  }

  /** In the order of their UTF-8 bytes, as S3 lists them. */
  keys(): readonly string[] {
    const keys = [...this.#slots].filter(([, slot]) => slot.current !== undefined).map(([key]) => Buffer.from(key));
    return keys.sort((a, b) => Buffer.compare(a, b)).map(String);
  }

  get isEmpty(): boolean {
    return ![...this.#slots.values()].some((slot) => slot.current !== undefined);
  }
}

export function newObject(body: Buffer, lastModifiedMs: number, headers: StoredObject["headers"] = []): StoredObject {
  return { body, etag: createHash("md5").update(body).digest("hex"), lastModifiedMs, headers };
}

/** An object as a test looks at it. */
export interface PeekedObject {
  readonly body: Buffer;
  readonly text: string;
  /** With its quotes. */
  readonly etag: string;
  readonly lastModifiedMs: number;
}

/** What an operator does with a console: no request, no condition, not in the log. */
export interface BucketAccess {
  readonly name: string;
  peek(key: string): PeekedObject | undefined;
  put(key: string, body: string | Uint8Array): PeekedObject;
  /** Whether there was one. */
  delete(key: string): boolean;
  /**
   * Puts an older version back: 1 is the one before the current, or the last one of a deleted object. Up to 10 are kept.
   * @throws ConfigError when there is none so old.
   */
  rollback(key: string, back?: number): PeekedObject;
  /** The versions of an object, the current one first if there is one. */
  versions(key: string): readonly PeekedObject[];
  keys(prefix?: string): readonly string[];
}

export function accessTo(bucket: Bucket, nowMs: () => number): BucketAccess {
  const put = (key: string, object: StoredObject): PeekedObject => {
    bucket.set(key, object);
    return peeked(object);
  };
  return {
    name: bucket.name,
    peek: (key) => {
      const object = bucket.get(key);
      return object === undefined ? undefined : peeked(object);
    },
    put: (key, body) => put(key, newObject(Buffer.from(body as Uint8Array), nowMs())),
    delete: (key) => {
      const existed = bucket.get(key) !== undefined;
      bucket.set(key, undefined);
      return existed;
    },
    rollback: (key, back = 1) => {
      const old = bucket.older(key)[back - 1];
      if (old === undefined) {
        const kept = bucket.older(key).length;
        throw new ConfigError("rollback", [`back: ${back} is not between 1 and the ${kept} older versions kept of ${JSON.stringify(key)}`]);
      }
      return put(key, old);
    },
    versions: (key) => {
      const current = bucket.get(key);
      return [...(current === undefined ? [] : [current]), ...bucket.older(key)].map(peeked);
    },
    keys: (prefix = "") => bucket.keys().filter((key) => key.startsWith(prefix)),
  };
}

function peeked(object: StoredObject): PeekedObject {
  const body = Buffer.from(object.body);
  return { body, text: body.toString(), etag: `"${object.etag}"`, lastModifiedMs: object.lastModifiedMs };
}
