/** The language of faults: what may go wrong, and for which requests. Shared by the embedded server and the proxy. */
import type { KeyFilter } from "./request-log.ts";
import type { S3Operation, WireRequest } from "./wire.ts";

/** Which requests a fault strikes. All conditions that are given must hold. */
export interface FaultSelection {
  /** HTTP method, or several. */
  readonly method?: string | readonly string[] | undefined;
  readonly operation?: S3Operation | readonly S3Operation[] | undefined;
  /** A text is the whole key, or its beginning when it ends in "*". Requests on the bucket (lists) have the key "". */
  readonly key?: KeyFilter | undefined;
  readonly when?: ((request: WireRequest) => boolean) | undefined;
  /** Lets so many matching requests pass first. Default 0. */
  readonly after?: number | undefined;
  /** Strikes so many, then never again. Default: without limit, until `remove()`. */
  readonly times?: number | undefined;
  /** Strikes each with this probability, drawn from the generator of `seed`. Default 1. */
  readonly probability?: number | undefined;
}

/** What a network, or a proxy in it, does to a request. The store itself is sound. */
export type NetworkFault = FaultSelection &
  (
    | {
        /** `lose-request`: not executed. `lose-reply`: executed. Either way the connection is reset without an answer. */
        readonly kind: "lose-request" | "lose-reply";
        /** Leaves the client waiting instead of resetting its connection. Default false. */
        readonly hang?: boolean | undefined;
      }
    | {
        /** The client is reset (or with `hang` left waiting) at once; the request is executed later. */
        readonly kind: "late";
        /** Left out: held until `deliver()` of the handle. */
        readonly delayMs?: number | undefined;
        readonly hang?: boolean | undefined;
      }
    | {
        /** Executed twice. */
        readonly kind: "duplicate";
        /** Between the two. Default 0. */
        readonly delayMs?: number | undefined;
        /** Which of the two answers the client gets. Default "first". */
        readonly answer?: "first" | "second" | undefined;
      }
    | {
        /** Slow. A client that gives up while its request is on the way takes nothing back: it is executed all the same. */
        readonly kind: "delay";
        /** Left out: held until `deliver()` of the handle. */
        readonly delayMs?: number | undefined;
        /** Before or after it is executed. Default "request". */
        readonly side?: "request" | "reply" | undefined;
      }
    | {
        /** Accepted and never answered. A rule without `after`, `times` and `probability` also swallows the answers that are under way. */
        readonly kind: "black-hole";
        /** Default false. */
        readonly executed?: boolean | undefined;
      }
    /** Executed; half of the answer's body (without a body: half of its head), then the connection is cut. */
    | { readonly kind: "half-body" }
    | {
        /** Answered with this status, by whatever stands in between. */
        readonly kind: "status";
        readonly status: number;
        /** Default: the usual code of the status, as "SlowDown" for 503. */
        readonly code?: string | undefined;
        readonly message?: string | undefined;
        /** Sent as `Retry-After`, in whole seconds, rounded up. */
        readonly retryAfterMs?: number | undefined;
        /** The store carried it out all the same. Default false. */
        readonly executed?: boolean | undefined;
        readonly headers?: Readonly<Record<string, string>> | undefined;
      }
    /** A proxy that hands the request on without this header: "if-match", say. */
    | { readonly kind: "strip-header"; readonly header: string | readonly string[] }
  );

/** How a store differs from AWS, or what it refuses. The network is sound. Only the embedded server has these. */
export type StoreFault = FaultSelection &
  (
    | {
        readonly kind:
          | "ignore-if-match"
          | "ignore-if-none-match"
          /** `If-Match: ""` is taken for no condition at all (seen on versitygw). */
          | "ignore-empty-if-match"
          /** `If-Match: "etag"` is refused, `If-Match: etag` is understood (Ceph, DigitalOcean). */
          | "unquoted-only"
          /** ETags are sent without quotes. */
          | "bare-etags"
          /** DELETE takes no notice of `If-Match` (MinIO, gofakes3, Ceph). */
          | "unconditional-delete"
          /** A PUT with `If-Match` on a missing key creates it (MinIO before September 2025). */
          | "if-match-creates"
          /** A PUT with `If-Match` on a missing key is answered 412 instead of 404 (gofakes3, Ceph, Ozone). */
          | "missing-is-412"
          /** Conditional requests are answered 501 (Backblaze B2). */
          | "conditions-not-implemented"
          /** PUTs find no object: 404 to the right ETag, and a create overwrites, while reads show it (MinIO on several drives after a crash, rule W6). */
          | "in-doubt"
          /** Reads answer the newest and the version before it in turn (the same set-up, rule W7). */
          | "flip-reads"
          | "no-date"
          /** `Last-Modified` stays as it was when the object is overwritten. */
          | "last-modified-kept"
          /** `Last-Modified` is what the client's clock said when it signed. */
          | "last-modified-from-client"
          /** 403 AccessDenied. */
          | "deny"
          /** No `s3:ListBucket`: lists are denied, and a missing key reads as 403. */
          | "deny-list"
          /** 403 RequestTimeTooSkewed. */
          | "clock-skew";
      }
    | {
        /** Looks at the condition, waits, writes: right one at a time, several winners in a race (S3Mock, s3s-fs). */
        readonly kind: "check-then-write";
        /** Default 5. */
        readonly gapMs?: number | undefined;
      }
    | {
        /** Of two PUTs to one key at a time the second is answered 500, and nothing of it is written (Ceph). */
        readonly kind: "race-loser-500";
        /** How long a PUT takes. Default 5. */
        readonly gapMs?: number | undefined;
      }
    /** `Date` is off by so much; `Last-Modified` is right. */
    | { readonly kind: "wrong-date"; readonly shiftMs: number }
    | {
        /** The bucket lives elsewhere. */
        readonly kind: "wrong-region";
        /** Where it lives. */
        readonly region: string;
        /** 301 PermanentRedirect (wrong endpoint) or 400 AuthorizationHeaderMalformed (signed for the wrong region). Default 301. */
        readonly status?: 301 | 400 | undefined;
      }
  );

export type Fault = NetworkFault | StoreFault;
export type StoreFaultKind = StoreFault["kind"];
export type NetworkFaultKind = NetworkFault["kind"];

/** The kinds that need nothing beside their name. */
export type CarelessMode = Exclude<StoreFaultKind, "wrong-date" | "wrong-region">;

export const NETWORK_KINDS: readonly NetworkFaultKind[] = [
  "lose-request",
  "lose-reply",
  "late",
  "duplicate",
  "delay",
  "black-hole",
  "half-body",
  "status",
  "strip-header",
];

export const STORE_KINDS: readonly StoreFaultKind[] = [
  "ignore-if-match",
  "ignore-if-none-match",
  "ignore-empty-if-match",
  "unquoted-only",
  "bare-etags",
  "unconditional-delete",
  "if-match-creates",
  "missing-is-412",
  "conditions-not-implemented",
  "in-doubt",
  "flip-reads",
  "no-date",
  "last-modified-kept",
  "last-modified-from-client",
  "deny",
  "deny-list",
  "clock-skew",
  "check-then-write",
  "race-loser-500",
  "wrong-date",
  "wrong-region",
];

/** A fault that is in force. */
export interface FaultHandle {
  readonly kind: Fault["kind"];
  /** How many requests it has struck. */
  readonly hits: number;
  /** How many requests it is holding back now (`late` and `delay` without `delayMs`). */
  readonly held: number;
  /** Lets all requests that are held back now go on; resolves with their number when they have been carried out. */
  deliver(): Promise<number>;
  /** Takes it out of force. Requests that it has struck keep their fate. */
  remove(): void;
}

/** Makes requests go wrong. `F`: the kinds that are possible here. */
export interface Faults<F extends Fault = Fault> {
  /**
   * Puts a fault in force. Faults are asked in the order in which they were added. Delays, stripped headers and ways of the store add up; of the
   * kinds that decide how a request ends, the first that strikes is taken, and the others are not counted.
   * @throws ConfigError for an unknown kind or a value out of bounds.
   */
  add(fault: F): FaultHandle;
  /** Takes all out of force that `add` has put in force. What was given as `careless` stays. */
  clear(): void;
}
