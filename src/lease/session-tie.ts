import type { Json, SessionRef } from "../record/record.ts";
import type { LeaseObject } from "./lease-object.ts";
import type { SessionTenancy } from "./session-tenancy.ts";
import type { ReleaseOutcome, Tenancy } from "./tenancy.ts";

/**
 * What a lock that is held through a session rests on: one tenancy of one member record, which does not come back when it is over (rule S1). A
 * session that was lost is opened anew, under another id.
 */
export interface SessionTie {
  /** What the lock's record names. */
  readonly ref: SessionRef;
  /** Whose end is the end of every lock (rule S2). */
  readonly membership: Tenancy;
  /** Calls it once, when the session is lost or closes: nothing may be acquired any more (rule S3). Returns the way out. */
  whenOver(listener: (reason: unknown) => void): () => void;
  /** A lock is held: it hears of the session's end and of its operators' flags from now on. */
  enlist(lock: SessionTenancy): void;
  /** The lock is over. */
  dismiss(lock: SessionTenancy): void;
  /** While the session closes: how its own release, which frees every lock at once, ends (rule S11). */
  readonly freedAll: Promise<ReleaseOutcome> | undefined;
  /** Never forgets it until the store has decided (rule S14): nothing else would ever free the key while this session lives. */
  abandon(left: Abandoned): void;
}

/** A write whose fate is open, and whose effect nobody wants. */
export interface Abandoned {
  readonly lease: LeaseObject;
  /** Nonces of acquisitions that must not stand: the record that shows one of them is released. */
  readonly nonces: readonly string[];
  /** For acquisitions that may still land: the version that they need. While it stands it is rewritten once, which kills them. */
  readonly base: { readonly etag: string | undefined } | undefined;
  /** What the released record is to keep for its face. Default: what stands there. */
  readonly payload?: Json | undefined;
}
