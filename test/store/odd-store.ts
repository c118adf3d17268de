/** One store in memory with a choice of vices, and what one process after another sees of it. */
import type { Clock } from "../../src/clock/clock.ts";
import { systemRandom } from "../../src/clock/system.ts";
import { sleep } from "../../src/clock/wait.ts";
import { StoreAccessError, StoreUnavailableError } from "../../src/errors.ts";
import type { Denied, ReadResult, Unavailable, WriteResult } from "../../src/store/object-store.ts";
import type { ProbePort } from "../../src/store/probe.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface Vices {
  readonly ignoresIfNoneMatch?: boolean;
  readonly ignoresIfMatch?: boolean;
  readonly createsMissing?: boolean;
  /** Looks, waits, writes: right one at a time, wrong in a race. */
  readonly checkThenWrite?: boolean;
  readonly staleNotModified?: boolean;
  readonly neverNotModified?: boolean;
  readonly unquotedOnly?: boolean;
  readonly noDate?: boolean;
  readonly keepsLastModified?: boolean;
  readonly dateOffMs?: number;
  readonly noDelete?: boolean;
  readonly noWrite?: boolean;
  readonly missingIs403?: boolean;
  /** As R2: one write a second for each key, the rest 429. */
  readonly oneWriteASecond?: boolean;
  /** Every nth write is answered with a reset after it was applied. */
  readonly losesReplies?: number;
  /** Every nth request is answered 409 or 503. */
  readonly busyEvery?: number;
  readonly down?: boolean;
  readonly refusesCreate?: boolean;
  /** Answers 412 to an old ETag and writes all the same. */
  readonly writesWhatItRefuses?: boolean;
}

interface Stored {
  readonly etag: string;
  readonly body: Uint8Array;
  readonly lastModifiedMs: number;
  readonly writtenMs: number;
}

export class OddStore {
  readonly clock: Clock;
  readonly objects = new Map<string, Stored>();
  readonly log: string[] = [];
  vices: Vices;
  #writes = 0;

  constructor(vices: Vices = {}, clock: Clock = new VirtualClock()) {
    this.vices = vices;
    this.clock = clock;
  }

  /** Keys of objects that stand, without the verdict's. */
  litter(): string[] {
    return [...this.objects.keys()].filter((key) => !key.includes("/verdict-"));
  }

  text(key: string): string {
    return new TextDecoder().decode(this.objects.get(key)?.body);
  }

  /** What one process sees. */
  port(latencyMs = 5): ProbePort {
    let unquoted = false;
    const travel = async (): Promise<void> => void (await sleep(this.clock, latencyMs * (0.5 + Math.random())));
    return {
      url: "odd://store",
      clock: this.clock,
      random: systemRandom,
      useEtagQuoting: (quoting) => {
        unquoted = quoting === "unquoted";
        return true;
      },
      get: async (key, options) => {
        await travel();
        return this.#get(key, options?.ifNoneMatch);
      },
      create: async (key, body) => {
        await travel();
        return await this.#write(key, body, undefined);
      },
      replace: async (key, etag, body) => {
        await travel();
        return await this.#write(key, body, unquoted ? etag.replaceAll('"', "") : etag);
      },
      remove: async (key) => {
        await travel();
        return this.#remove(key);
      },
    };
  }

  #get(key: string, ifNoneMatch: string | undefined): ReadResult {
    const { vices } = this;
    if (vices.down === true) return unavailable();
    this.log.push(`GET ${key}`);
    const dateMs = vices.noDate === true ? undefined : this.#second() + (vices.dateOffMs ?? 0);
    const object = this.objects.get(key);
    if (object === undefined) return vices.missingIs403 === true ? denied("s3:ListBucket") : { kind: "absent", dateMs };
    const same = object.etag === ifNoneMatch && vices.neverNotModified !== true;
    if (same || (ifNoneMatch !== undefined && vices.staleNotModified === true)) return { kind: "not-modified", dateMs };
    return { kind: "found", etag: object.etag, body: object.body, lastModifiedMs: object.lastModifiedMs, dateMs };
  }

  async #write(key: string, body: Uint8Array, ifMatch: string | undefined): Promise<WriteResult> {
    const { vices } = this;
    const n = ++this.#writes;
    if (vices.down === true) return { kind: "unknown", error: unavailable().error };
    this.log.push(`PUT ${key}`);
    if (vices.noWrite === true) return denied("s3:PutObject");
    if (vices.busyEvery !== undefined && n % vices.busyEvery === 0) return busy(n % 2 === 0);
    const object = this.objects.get(key);
    if (vices.oneWriteASecond === true && object !== undefined && this.clock.monotonicMs() - object.writtenMs < 1_000) return busy(true);
    const refusal = this.#refusal(object, ifMatch);
    if (vices.checkThenWrite === true) await sleep(this.clock, 3);
    const refused = { kind: "refused", status: refusal ?? 412, dateMs: this.#second() } as const;
    if (refusal !== undefined && !(vices.writesWhatItRefuses === true && ifMatch !== undefined && object !== undefined)) return refused;
    const etag = `"${String(n).padStart(32, "0")}"`;
    const lastModifiedMs = vices.keepsLastModified === true && object !== undefined ? object.lastModifiedMs : this.#second();
    this.objects.set(key, { etag, body, lastModifiedMs, writtenMs: this.clock.monotonicMs() });
    if (refusal !== undefined) return refused;
    if (vices.losesReplies !== undefined && n % vices.losesReplies === 0) return { kind: "unknown", error: unavailable().error };
    return { kind: "applied", etag, dateMs: this.#second() };
  }

  #refusal(object: Stored | undefined, ifMatch: string | undefined): 404 | 412 | undefined {
    const { vices } = this;
    if (ifMatch === undefined) {
      if (vices.refusesCreate === true) return 412;
      return object === undefined || vices.ignoresIfNoneMatch === true ? undefined : 412;
    }
    if (vices.ignoresIfMatch === true) return undefined;
    if (object === undefined) return vices.createsMissing === true ? undefined : 404;
    const right = vices.unquotedOnly === true ? object.etag.replaceAll('"', "") : object.etag;
    return ifMatch === right ? undefined : 412;
  }

  #remove(key: string): "removed" | Unavailable | Denied {
    if (this.vices.down === true) return unavailable();
    this.log.push(`DELETE ${key}`);
    if (this.vices.noDelete === true) return denied("s3:DeleteObject");
    this.objects.delete(key);
    return "removed";
  }

  #second(): number {
    return Math.floor(this.clock.wallMs() / 1000) * 1000;
  }
}

function unavailable(): Unavailable {
  return { kind: "unavailable", error: new StoreUnavailableError("the store is down") };
}
function denied(action: string): Denied {
  return { kind: "denied", error: new StoreAccessError(`denied: ${action}`, { hint: `allow ${action}` }) };
}
function busy(certain: boolean): WriteResult {
  return { kind: "busy", certain, retryAfterMs: undefined, error: new StoreUnavailableError("slow down", { status: 429 }) };
}
