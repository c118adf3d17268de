import type { Clock } from "../clock/clock.ts";
import { sleep } from "../clock/wait.ts";
import { type EndReason, type HolderInfo, type Json, type LeaseEndedError, type LeaseLostError, WorkNotStoppedError } from "../errors.ts";
import type { ReleaseFields } from "../lease/lease-object.ts";
import type { Emitter } from "../lease/wiring.ts";
import { Inbox } from "./inbox.ts";
import type { LeaderTerm, Term } from "./term.ts";

export interface Handlers<M = Json> {
  /** Runs while this node leads. Returning keeps leading (see `onDone`); throwing gives leadership back, with a cooldown. */
  onElected(term: Term): Promise<void> | void;
  /** Once for each term, after its signal aborted: when it was lost, or when its work has stopped and before the key is freed. */
  onDemoted?: ((e: { readonly term: Term; readonly reason: LeaseLostError | LeaseEndedError }) => void | Promise<void>) | undefined;
  /** Each change as seen from here; a slow handler gets the newest, never a backlog. */
  onLeaderChange?: ((e: { readonly leader: HolderInfo<M> | undefined }) => void) | undefined;
}

/** What happens when `onElected` returns. */
export type OnDone = "keep" | "release" | "stop";

/** Somebody wants this term to end. */
export interface EndRequest {
  readonly reason: EndReason;
  readonly fields?: ReleaseFields | undefined;
  /** How long this node stays out afterwards; its default otherwise. */
  readonly cooldownMs?: number | undefined;
  /** The request has been carried out, or its work did not stop in time. */
  settled(error?: WorkNotStoppedError): void;
}

type Message =
  | { readonly kind: "belief-ended" }
  | { readonly kind: "work-settled"; readonly failed: boolean }
  | { readonly kind: "asked"; readonly request: EndRequest }
  | { readonly kind: "drain-over"; readonly request: EndRequest };

/** How a term ended, for the campaign that goes on after it. */
export interface TermEnd {
  readonly next: "again" | "stop";
  /** Leadership was given back on purpose: stay out for a while, so that others can take it. */
  readonly gaveWay: boolean;
  readonly cooldownMs: number | undefined;
}

/**
 * One term with the user's work in it. The work is never released under: asked to end, the signal aborts, the work settles, belief ends,
 * `onDemoted` runs, and only then is the key freed (rule H7). Work that does not settle within `drainMs` fails the request, and the lease
 * stays held until it does.
 */
export class Leading<M> {
  readonly term: LeaderTerm;
  readonly #handlers: Handlers<M>;
  readonly #clock: Clock;
  readonly #emitter: Emitter;
  readonly #drainMs: number;
  readonly #inbox = new Inbox<Message>();
  readonly #timers = new AbortController();
  /** Resolves when nothing of this term is left to do. */
  readonly over: Promise<void>;
  #resolveOver!: () => void;
  #isOver = false;
  #workSettled = false;
  readonly #worked: (() => void) | undefined;

  constructor(term: LeaderTerm, handlers: Handlers<M>, o: { readonly clock: Clock; readonly emitter: Emitter; readonly drainMs: number }) {
    this.term = term;
    this.#worked = term.tenancy.work?.();
    this.#handlers = handlers;
    this.#clock = o.clock;
    this.#emitter = o.emitter;
    this.#drainMs = o.drainMs;
    this.over = new Promise((resolve) => (this.#resolveOver = resolve));
  }

  /** Asks the term to end; the answer comes through `request.settled`. */
  ask(request: EndRequest): void {
    if (this.#isOver) request.settled();
    else this.#inbox.post({ kind: "asked", request });
  }

  /**
   * @throws WorkNotStoppedError when a stop, or the work of a lost term, did not settle in time. The term goes on all the same, held and
   * renewed while it is not lost, until the work settles: `over` tells.
   */
  run(onDone: OnDone): Promise<TermEnd> {
    return new Promise((resolve, reject) => {
      this.#loop(onDone, reject).then((end) => {
        this.#close();
        resolve(end);
      }, reject);
    });
  }

  async #loop(onDone: OnDone, giveUp: (error: WorkNotStoppedError) => void): Promise<TermEnd> {
    void this.term.tenancy.ended.then(() => this.#inbox.post({ kind: "belief-ended" }));
    void this.#work();
    let request: EndRequest | undefined;
    let demoted: Promise<boolean> | undefined;
    for (;;) {
      const message = await this.#inbox.next();
      switch (message.kind) {
        case "asked":
          // The first request to end rules; later ones wait for the same end.
          request = request === undefined ? message.request : both(request, message.request);
          this.term.tenancy.askToStop(request.reason);
          if (this.#workSettled) return this.#finish(request, demoted);
          this.#startDrain(message.request);
          break;
        case "work-settled":
          this.#workSettled = true;
          if (request !== undefined || demoted !== undefined) return this.#finish(request ?? unasked, demoted);
          if (message.failed) return this.#finish(unasked, undefined);
          if (onDone !== "keep") return { ...(await this.#finish(unasked, undefined)), next: onDone === "stop" ? "stop" : "again" };
          break;
        case "belief-ended":
          // Lost, or released by the user's own hand. The work hears it through the signal, and has `drainMs` to settle.
          demoted = this.#demote();
          if (this.#workSettled) return this.#finish(request ?? unasked, demoted);
          if (request === undefined) this.#startDrain(unasked);
          break;
        case "drain-over": {
          const error = this.#notStopped("the work", demoted === undefined);
          message.request.settled(error);
          if (message.request.reason === "stopped" || demoted !== undefined) giveUp(error);
        }
      }
    }
  }

  #notStopped(what: string, stillHeld: boolean): WorkNotStoppedError {
    return new WorkNotStoppedError(
      `${what} of "${this.term.name}" (fencing token ${this.term.fencingToken}) had not stopped ${this.#drainMs} ms after its signal aborted (drainMs). ` +
        (stillHeld ? "The lease stays held until it does, or this process ends" : "Its lease is over: it must not touch anything any more"),
      { key: this.term.key, waitedMs: this.#drainMs },
    );
  }

  /** Whoever asked at the very end is answered, too. */
  #close(): void {
    this.#isOver = true;
    for (const message of this.#inbox.rest()) if (message.kind === "asked") message.request.settled();
    this.#resolveOver();
  }

  async #work(): Promise<void> {
    let failed = false;
    try {
      await this.#handlers.onElected(this.term);
    } catch (error) {
      // An onElected that ends with the reason its signal aborted with, or with what an aborted call makes of it, has just obeyed.
      failed = !(
        this.term.signal.aborted &&
        (error === this.term.signal.reason || (error instanceof Error && error.name === "AbortError"))
      );
      if (failed) this.#emitter.emit({ type: "callback-failed", name: "onElected", error });
    }
    this.#inbox.post({ kind: "work-settled", failed });
  }

  #startDrain(request: EndRequest): void {
    void sleep(this.#clock, this.#drainMs, { signal: this.#timers.signal, keepAlive: true }).then((full) => {
      if (full) this.#inbox.post({ kind: "drain-over", request });
    });
  }

  /** The work has settled: belief ends, then `onDemoted`, then the key is freed. */
  async #finish(request: EndRequest, demoted: Promise<boolean> | undefined): Promise<TermEnd> {
    this.#timers.abort();
    this.term.tenancy.endBelief(request.reason);
    const callbackDone = await (demoted ?? this.#demote());
    // Nothing is freed under running work, and an onDemoted that hangs is running work: the ttl frees it.
    if (callbackDone) this.#worked?.();
    if (!callbackDone) this.term.leave(this.#notStopped("the onDemoted", false));
    else if (!this.term.tenancy.lost) await this.term.giveBack(request.reason, request.fields);
    request.settled();
    return { next: request.reason === "stopped" ? "stop" : "again", gaveWay: !this.term.tenancy.lost, cooldownMs: request.cooldownMs };
  }

  /** @returns whether `onDemoted` has settled within `drainMs`. */
  async #demote(): Promise<boolean> {
    const reason = await this.term.tenancy.ended;
    const { onDemoted } = this.#handlers;
    if (onDemoted === undefined) return true;
    const call = async (): Promise<true> => {
      try {
        await onDemoted.call(this.#handlers, { term: this.term, reason });
      } catch (error) {
        this.#emitter.emit({ type: "callback-failed", name: "onDemoted", error });
      }
      return true;
    };
    const timer = new AbortController();
    try {
      return await Promise.race([call(), sleep(this.#clock, this.#drainMs, { signal: timer.signal, keepAlive: true }).then(() => false)]);
    } finally {
      timer.abort();
    }
  }
}

/** Nobody asked: the term was lost, or its work is over. */
const unasked: EndRequest = { reason: "released", settled() {} };

function both(first: EndRequest, second: EndRequest): EndRequest {
  return {
    // A stop that comes during a step-down ends the run, too.
    reason: second.reason === "stopped" ? "stopped" : first.reason,
    fields: first.fields ?? second.fields,
    cooldownMs: first.cooldownMs ?? second.cooldownMs,
    settled(error) {
      first.settled(error);
      second.settled(error);
    },
  };
}
