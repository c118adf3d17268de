/**
 * The simulated S3: objects in true time, conditions decided at one instant, answers as AWS gives them (and, by its profile, as its relatives
 * do). It knows nothing of networks: a request is executed at the moment that it lands.
 */
import { RunningHash } from "./keyed-random.ts";
import type { World } from "./world.ts";

export interface StoreProfile {
  /** What an `If-Match` on a missing key is answered. AWS: 404; Ceph, gofakes3, Ozone: 412. */
  readonly missingOnReplace: 404 | 412;
  /** Whether ETags come with their quotes. */
  readonly quotedEtags: boolean;
  /** "ignored": every PUT overwrites. Such a store must be refused. */
  readonly conditions: "enforced" | "ignored";
  /** Whether a DELETE that names an ETag spares another version. AWS: yes; MinIO, Ceph, gofakes3: no, and the condition is ignored in silence. */
  readonly conditionalDelete: boolean;
  /** Whether answers carry `Date` and objects `Last-Modified`. */
  readonly dates: boolean;
  /** By how much `Last-Modified` is behind the time of the write, in milliseconds, as with stores that keep it through overwrites. */
  readonly lastModifiedLagMs: number;
  /** Whether `ensureSafe` says that the store's times are fit for takeover (rule C3). */
  readonly storeTime: boolean;
  /** How far the clocks that stamp `Date` and `Last-Modified` may differ, in milliseconds; each stamp is off by anything up to it. */
  readonly skewMs: number;
  /** By how much all the store's clocks are off true time, in milliseconds. */
  readonly offsetMs: number;
}

export const AWS_PROFILE: StoreProfile = {
  missingOnReplace: 404,
  quotedEtags: true,
  conditions: "enforced",
  conditionalDelete: true,
  dates: true,
  lastModifiedLagMs: 0,
  storeTime: true,
  skewMs: 1_000,
  offsetMs: 0,
};

export type S3Operation =
  | { readonly kind: "get"; readonly key: string; readonly ifNoneMatch: string | undefined }
  | { readonly kind: "create"; readonly key: string; readonly body: Uint8Array }
  | { readonly kind: "replace"; readonly key: string; readonly etag: string; readonly body: Uint8Array }
  | { readonly kind: "list"; readonly prefix: string; readonly after: string | undefined; readonly limit: number }
  | { readonly kind: "remove"; readonly key: string; readonly etag: string | undefined };

export interface S3Object {
  readonly body: Uint8Array;
  readonly etag: string;
  readonly lastModifiedMs: number;
}

export interface S3Reply {
  readonly status: number;
  readonly dateMs: number | undefined;
  readonly object?: S3Object;
  readonly etag?: string;
  readonly entries?: readonly (readonly [key: string, object: S3Object])[];
  readonly next?: string | undefined;
}

/** A write that was applied, told to whoever watches. `body` is undefined when the object was deleted. */
export interface AppliedWrite {
  readonly key: string;
  readonly body: Uint8Array | undefined;
  readonly etag: string;
  readonly previous: S3Object | undefined;
  /** The request that did it, as its sender knows it; undefined for what an operator did. */
  readonly by: unknown;
}

export interface ExecuteOptions {
  readonly by?: unknown;
  /** How far the stamping server's clock is off in this request, as a part of `skewMs`, in [0, 1). Default 0. */
  readonly skewUnit?: number | undefined;
  /** Reads the object as it was so many versions ago (rule W7). Default 0. */
  readonly staleBy?: number | undefined;
}

/** So many old versions of an object are kept for stale reads and rollbacks. */
const VERSIONS_KEPT = 50;

export class SimS3 {
  readonly profile: StoreProfile;
  readonly #world: World;
  readonly #objects = new Map<string, S3Object>();
  readonly #old = new Map<string, S3Object[]>();
  readonly #doubtful = new Map<string, number>();
  readonly #watchers: ((write: AppliedWrite) => void)[] = [];

  constructor(world: World, profile: StoreProfile = AWS_PROFILE) {
    this.#world = world;
    this.profile = profile;
  }

  watch(watcher: (write: AppliedWrite) => void): void {
    this.#watchers.push(watcher);
  }

  /**
   * Until the answer is called: every conditional write that names an ETag of this key is answered as if there were no object, reads show it
   * all the same, and a create overwrites it. MinIO did that on several drives after it was killed in the middle of a write (rule W6).
   */
  doubt(key: string): () => void {
    this.#doubtful.set(key, (this.#doubtful.get(key) ?? 0) + 1);
    return () => {
      const left = (this.#doubtful.get(key) ?? 1) - 1;
      if (left > 0) this.#doubtful.set(key, left);
      else this.#doubtful.delete(key);
    };
  }

  peek(key: string): S3Object | undefined {
    return this.#objects.get(key);
  }

  keys(): readonly string[] {
    return [...this.#objects.keys()].sort();
  }

  /** Earlier versions of an object, the newest first. */
  versions(key: string): readonly S3Object[] {
    return this.#old.get(key) ?? [];
  }

  execute(operation: S3Operation, options: ExecuteOptions = {}): S3Reply {
    const clockMs = this.#stampMs(options.skewUnit ?? 0);
    const dateMs = this.profile.dates ? clockMs : undefined;
    switch (operation.kind) {
      case "get":
        return this.#get(operation.key, operation.ifNoneMatch, dateMs, options.staleBy ?? 0);
      case "create":
        return this.#put(operation.key, operation.body, clockMs, dateMs, options.by, (object) =>
          this.profile.conditions === "ignored" || object === undefined || this.#doubtful.has(operation.key) ? 200 : 412,
        );
      case "replace":
        return this.#put(operation.key, operation.body, clockMs, dateMs, options.by, (object) => {
          if (this.profile.conditions === "ignored") return 200;
          if (object === undefined || this.#doubtful.has(operation.key)) return this.profile.missingOnReplace;
          return object.etag === operation.etag ? 200 : 412;
        });
      case "list":
        return this.#list(operation.prefix, operation.after, operation.limit, dateMs);
      case "remove":
        if (this.profile.conditionalDelete && operation.etag !== undefined && this.#objects.get(operation.key)?.etag !== operation.etag)
          return { status: this.#objects.has(operation.key) ? 412 : 404, dateMs };
        this.#store(operation.key, undefined, options.by);
        return { status: 204, dateMs };
    }
  }

  /** What an operator does with the console: no condition, no request. `undefined` deletes the object. */
  overwrite(key: string, body: Uint8Array | undefined): void {
    this.#store(key, body === undefined ? undefined : this.#object(body, this.#stampMs(0)), undefined);
  }

  #get(key: string, ifNoneMatch: string | undefined, dateMs: number | undefined, staleBy: number): S3Reply {
    const object = staleBy === 0 ? this.#objects.get(key) : (this.versions(key)[staleBy - 1] ?? this.#objects.get(key));
    if (object === undefined) return { status: 404, dateMs };
    if (ifNoneMatch !== undefined && ifNoneMatch === object.etag) return { status: 304, dateMs };
    return { status: 200, dateMs, object };
  }

  #put(
    key: string,
    body: Uint8Array,
    clockMs: number,
    dateMs: number | undefined,
    by: unknown,
    decide: (object: S3Object | undefined) => number,
  ): S3Reply {
    const status = decide(this.#objects.get(key));
    if (status !== 200) return { status, dateMs };
    const object = this.#object(body, clockMs);
    this.#store(key, object, by);
    return { status, dateMs, etag: object.etag };
  }

  #list(prefix: string, after: string | undefined, limit: number, dateMs: number | undefined): S3Reply {
    const keys = this.keys().filter((key) => key.startsWith(prefix) && (after === undefined || key > after));
    const page = keys.slice(0, limit);
    const entries = page.flatMap((key) => {
      const object = this.#objects.get(key);
      return object === undefined ? [] : [[key, object] as const];
    });
    return { status: 200, dateMs, entries, next: keys.length > limit ? page.at(-1) : undefined };
  }

  #object(body: Uint8Array, clockMs: number): S3Object {
    // As with MD5, equal bodies have equal ETags: a protocol that relies on their difference must see to it itself (rule R1).
    const digest = new RunningHash(0x53).bytes(body).digest() + new RunningHash(0x33).bytes(body).digest();
    return {
      body: body.slice(),
      etag: this.profile.quotedEtags ? `"${digest}"` : digest,
      lastModifiedMs: clockMs - this.profile.lastModifiedLagMs,
    };
  }

  #store(key: string, object: S3Object | undefined, by: unknown): void {
    const previous = this.#objects.get(key);
    if (previous !== undefined) this.#old.set(key, [previous, ...this.versions(key)].slice(0, VERSIONS_KEPT));
    if (object === undefined) this.#objects.delete(key);
    else this.#objects.set(key, object);
    this.#world.log("stored", "s3", object?.etag ?? "deleted", () => key);
    for (const watcher of this.#watchers) watcher({ key, body: object?.body, etag: object?.etag ?? "", previous, by });
  }

  /** The store's time, cut to the second as HTTP dates are. */
  #stampMs(skewUnit: number): number {
    const exact = this.#world.startWallMs + this.#world.nowMs + this.profile.offsetMs + skewUnit * this.profile.skewMs;
    return Math.floor(exact / 1_000) * 1_000;
  }
}
