/** Faults in force: which of them strike a request, and the gates of those that hold requests back. */
import type { Clock } from "../../clock/clock.ts";
import { sleep } from "../../clock/wait.ts";
import { ConfigError } from "../../errors.ts";
import { show, unknownNames } from "../../options.ts";
import { KeyedRandom } from "../sim/keyed-random.ts";
import {
  NETWORK_KINDS,
  STORE_KINDS,
  type Fault,
  type FaultHandle,
  type Faults,
  type FaultSelection,
  type NetworkFault,
  type NetworkFaultKind,
  type StoreFault,
  type StoreFaultKind,
} from "./faults.ts";
import { matchesKey } from "./request-log.ts";
import type { WireRequest } from "./wire.ts";

export type Of<F extends Fault, K extends F["kind"]> = Extract<F, { readonly kind: K }>;
type EndingKind = Exclude<NetworkFaultKind, "delay" | "strip-header">;

/** The fate of one request. */
export interface Plan {
  readonly delays: readonly Rule<Of<NetworkFault, "delay">>[];
  readonly strippedHeaders: readonly string[];
  /** How it ends; `undefined`: well. */
  readonly ending: Rule<Of<NetworkFault, EndingKind>> | undefined;
  readonly store: StoreFaults;
  readonly kinds: readonly string[];
}

/** The ways of the store that strike one request. */
export type StoreFaults = ReadonlyMap<StoreFaultKind, Rule<StoreFault>>;

export const NO_STORE_FAULTS: StoreFaults = new Map();

interface Waiting {
  release(): Promise<void>;
}

export class Rule<F extends Fault = Fault> implements FaultHandle {
  readonly fault: F;
  readonly #random: KeyedRandom;
  readonly #onRemove: (rule: Rule) => void;
  readonly #waiting = new Set<Waiting>();
  readonly #turns = new Map<string, number>();
  #seen = 0;
  #hits = 0;

  constructor(fault: F, random: KeyedRandom, onRemove: (rule: Rule) => void) {
    this.fault = fault;
    this.#random = random;
    this.#onRemove = onRemove;
  }

  get kind(): F["kind"] {
    return this.fault.kind;
  }

  get hits(): number {
    return this.#hits;
  }

  get held(): number {
    return this.#waiting.size;
  }

  remove(): void {
    this.#onRemove(this);
  }

  async deliver(): Promise<number> {
    const released = [...this.#waiting];
    this.#waiting.clear();
    await Promise.all(released.map((waiting) => waiting.release()));
    return released.length;
  }

  /** Whether the request is one of those that it selects; counts nothing. */
  selects(request: WireRequest): boolean {
    const { method, operation, key, when }: FaultSelection = this.fault;
    if (method !== undefined && !(typeof method === "string" ? [method] : method).includes(request.method)) return false;
    if (operation !== undefined && !(typeof operation === "string" ? [operation] : operation).includes(request.operation)) return false;
    return matchesKey(key, request.key) && (when === undefined || when(request));
  }

  /** Decides, and counts. */
  strikes(request: WireRequest): boolean {
    const { after = 0, times = Number.POSITIVE_INFINITY, probability = 1 }: FaultSelection = this.fault;
    if (this.#hits >= times || !this.selects(request)) return false;
    if (++this.#seen <= after) return false;
    if (probability < 1 && !this.#random.chance(probability)) return false;
    this.#hits++;
    return true;
  }

  get isUnlimited(): boolean {
    const { after, times, probability }: FaultSelection = this.fault;
    return (after ?? 0) === 0 && (times ?? Number.POSITIVE_INFINITY) === Number.POSITIVE_INFINITY && (probability ?? 1) === 1;
  }

  /** Counts the uses for one key from 0, for the kinds that alternate. */
  turn(key: string): number {
    const turn = this.#turns.get(key) ?? 0;
    this.#turns.set(key, turn + 1);
    return turn;
  }

  /** Runs `go` after the delay, or at `deliver()`; never once `signal` has aborted. Resolves when it has run, or never will. */
  async pass(clock: Clock, delayMs: number | undefined, signal: AbortSignal, go: () => Promise<void>): Promise<void> {
    if (delayMs !== undefined) {
      if (await sleep(clock, delayMs, { signal })) await go();
      return;
    }
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const onAbort = (): void => {
        this.#waiting.delete(waiting);
        resolve();
      };
      const waiting: Waiting = {
        release: async () => {
          signal.removeEventListener("abort", onAbort);
          await go().finally(resolve);
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(waiting);
    });
  }
}

export class FaultRules<F extends Fault> implements Faults<F> {
  readonly #allowed: readonly Fault["kind"][];
  readonly #seed: number;
  #rules: Rule[] = [];
  #permanent: Rule[] = [];
  #made = 0;

  constructor(kinds: "network" | "all", seed: number) {
    this.#allowed = kinds === "network" ? NETWORK_KINDS : [...NETWORK_KINDS, ...STORE_KINDS];
    this.#seed = seed;
  }

  add(fault: F): FaultHandle {
    const rule = this.#make(fault);
    this.#rules.push(rule);
    return rule;
  }

  /** In force for ever. */
  addPermanent(fault: F): void {
    this.#permanent.push(this.#make(fault));
  }

  clear(): void {
    this.#rules = [];
  }

  #make(fault: F): Rule {
    const wrong = wrongIn(fault, this.#allowed);
    if (wrong.length > 0) throw new ConfigError("faults.add", wrong);
    return new Rule<Fault>(fault, new KeyedRandom(this.#seed, "fault", ++this.#made), (gone) => {
      this.#rules = this.#rules.filter((rule) => rule !== gone);
    });
  }

  plan(request: WireRequest): Plan {
    const delays: Plan["delays"][number][] = [];
    const strippedHeaders: string[] = [];
    const store = new Map<StoreFaultKind, Rule<StoreFault>>();
    const kinds: string[] = [];
    let ending: Plan["ending"];
    for (const rule of [...this.#permanent, ...this.#rules]) {
      if (isEnding(rule) && ending !== undefined) continue;
      if (!rule.strikes(request)) continue;
      kinds.push(rule.kind);
      const { fault } = rule;
      if (isEnding(rule)) ending = rule;
      else if (fault.kind === "delay") delays.push(rule as Rule<Of<NetworkFault, "delay">>);
      else if (fault.kind === "strip-header") strippedHeaders.push(...(typeof fault.header === "string" ? [fault.header] : fault.header));
      else store.set(fault.kind as StoreFaultKind, rule as Rule<StoreFault>);
    }
    return { delays, strippedHeaders, ending, store, kinds };
  }

  /** Whether an answer that is ready now falls into a black hole that was opened since its request came. */
  swallows(request: WireRequest): boolean {
    return this.#rules.some((rule) => rule.kind === "black-hole" && rule.isUnlimited && rule.selects(request));
  }
}

function isEnding(rule: Rule): rule is Rule<Of<NetworkFault, EndingKind>> {
  const { kind } = rule;
  return kind !== "delay" && kind !== "strip-header" && (NETWORK_KINDS as readonly string[]).includes(kind);
}

/** Longest delay that a rule may ask for: an hour. */
const MAX_DELAY_MS = 3_600_000;

/** What is wrong with something that should be a way of a store. */
export function storeFaultFaults(given: unknown): readonly string[] {
  if (typeof given !== "object" || given === null) return [`${show(given)} is neither a kind nor a fault`];
  return wrongIn(given as Fault, STORE_KINDS);
}

/** What any kind of fault may have. A name that is none of them selects nothing, and the fault would strike every request. */
const NAMES: readonly string[] = [
  ...["kind", "method", "operation", "key", "when", "after", "times", "probability"],
  ...["hang", "delayMs", "answer", "side", "executed", "status", "code", "message", "retryAfterMs", "headers", "header"],
  ...["gapMs", "shiftMs", "region"],
];
const METHODS: readonly string[] = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"];

function wrongSelection(given: Readonly<Record<string, unknown>>): string[] {
  const { method, key, when } = given;
  const wrong = unknownNames(Object.keys(given), NAMES, "option");
  for (const each of Array.isArray(method) ? (method as unknown[]) : [method])
    if (each !== undefined && !METHODS.includes(each as string)) wrong.push(`method: ${show(each)} is none of ${METHODS.join(", ")}`);
  if (key !== undefined && typeof key !== "string" && typeof key !== "function" && !(key instanceof RegExp))
    wrong.push(`key: ${show(key)} is no text, pattern or function`);
  if (when !== undefined && typeof when !== "function") wrong.push(`when: ${show(when)} is no function`);
  return wrong;
}

function wrongIn(fault: Fault, allowed: readonly string[]): string[] {
  if (typeof fault !== "object" || (fault as unknown) === null) return [`${show(fault)} is no fault`];
  const wrong = wrongSelection(fault as unknown as Readonly<Record<string, unknown>>);
  const check = (name: string, value: unknown, isGood: (n: number) => boolean, right: string): void => {
    if (value !== undefined && !(typeof value === "number" && isGood(value))) wrong.push(`${name}: ${show(value)} is not ${right}`);
  };
  const isCount = (n: number): boolean => n >= 0 && (Number.isInteger(n) || n === Number.POSITIVE_INFINITY);
  const isDelay = (n: number): boolean => n >= 0 && n <= MAX_DELAY_MS;
  const given = fault as unknown as Readonly<Record<string, unknown>>;
  if (!allowed.includes(fault.kind)) wrong.push(`kind: ${JSON.stringify(fault.kind)} is none of ${allowed.join(", ")}`);
  check("times", given["times"], isCount, "a whole number");
  check("after", given["after"], isCount, "a whole number");
  check("probability", given["probability"], (n) => n >= 0 && n <= 1, "a number from 0 to 1");
  check("delayMs", given["delayMs"], isDelay, "a number of milliseconds up to an hour; leave it out to hold requests until deliver()");
  check("gapMs", given["gapMs"], isDelay, "a number of milliseconds up to an hour");
  check("retryAfterMs", given["retryAfterMs"], isDelay, "a number of milliseconds up to an hour");
  if (fault.kind === "status")
    check("status", fault.status ?? null, (n) => Number.isInteger(n) && n >= 200 && n <= 599, "a status from 200 to 599");
  if (fault.kind === "wrong-date") check("shiftMs", fault.shiftMs ?? null, Number.isFinite, "a number of milliseconds");
  if (fault.kind === "wrong-region" && typeof fault.region !== "string") wrong.push("region: name the region where the bucket lives");
  if (fault.kind === "strip-header" && (fault.header === undefined || fault.header.length === 0))
    wrong.push("header: name the header to strip");
  return wrong;
}
