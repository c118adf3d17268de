/**
 * The vocabulary of what goes wrong. A *window* says it for a span of true time, made up before the run; a *rule* says it for the next so many
 * requests, as a test asks for it. What becomes of one request is its *fate*, decided when it is sent.
 */
import { exponential, type KeyedRandom } from "./keyed-random.ts";

/**
 * What can happen to a request. For kinds marked with a time, `x` is the longest one in milliseconds; for the others the probability.
 * - `lose-request`: it never arrives, and nothing comes back.
 * - `lose-reply`: it is carried out, and nothing comes back.
 * - `reset`: the connection breaks, with equal probability before or after it was carried out; the client hears of it soon.
 * - `slow-request`, `slow-reply` (time): on its way there, or back.
 * - `late` (time): it is carried out that much later, the reply is lost.
 * - `duplicate` (time): it is carried out, and once more that much later; the first answer counts.
 * - `retry` (time): a proxy loses the first answer and sends the request again; the client hears the second answer.
 * - `error-500`: answered 500, with equal probability carried out or not.
 * - `busy-503`: as `error-500`, and asks to slow down. `busy-429`: refused for certain, asks to slow down.
 * - `conflict-409`: a write is refused for certain, as when another operation on the key is under way.
 * - `stale-read`: a read shows an older version (rule W7).
 */
export type RequestFault =
  | "lose-request"
  | "lose-reply"
  | "reset"
  | "slow-request"
  | "slow-reply"
  | "late"
  | "duplicate"
  | "retry"
  | "error-500"
  | "busy-503"
  | "busy-429"
  | "conflict-409"
  | "stale-read";

/**
 * What can happen to a machine. `x` of `clock-rate` is the rate, of `wall-step` the step in milliseconds (taken back at `to`), of `crash`
 * nothing: the process is gone from `from` to `to`. `pause` and `freeze` are in `SimNode`.
 */
export type MachineFault = "clock-rate" | "wall-step" | "pause" | "freeze" | "crash";

export type RequestClass = "get" | "put" | "list" | "delete";

export interface FaultWindow {
  readonly kind: RequestFault | MachineFault | (string & {});
  /** A node's name, or "*" for all. */
  readonly node: string;
  /** True time, in milliseconds. */
  readonly from: number;
  readonly to: number;
  readonly x: number;
  /** Only requests of this class. Default: all. */
  readonly on?: RequestClass | undefined;
}

/** Mean delays of an undisturbed network, in milliseconds. */
export interface Latency {
  readonly minMs: number;
  readonly meanMs: number;
}

/** What becomes of one request. Times are in milliseconds. */
export interface Fate {
  requestMs: number;
  replyMs: number;
  requestLost: boolean;
  replyLost: boolean;
  /** Carried out once more so long after the first time. */
  duplicateMs: number | undefined;
  /** The client hears the answer to the duplicate. */
  answerOfDuplicate: boolean;
  /** The connection breaks so long after the request was sent. */
  resetMs: number | undefined;
  /** Answered with this status instead of the store's own. */
  status: 409 | 429 | 500 | 503 | undefined;
  /** Carried out, although answered with a status of trouble. */
  applied: boolean;
  staleBy: number;
  skewUnit: number;
}

/** All the draws of one request, made before any fault is looked at, so that taking a fault out of a plan moves no other draw. */
export interface Draws {
  readonly unit: readonly number[];
}

export function drawsOf(random: KeyedRandom): Draws {
  return { unit: Array.from({ length: 20 }, () => random.unit()) };
}

const SLOTS: readonly RequestFault[] = [
  "lose-request",
  "lose-reply",
  "reset",
  "slow-request",
  "slow-reply",
  "late",
  "duplicate",
  "retry",
  "error-500",
  "busy-503",
  "busy-429",
  "conflict-409",
  "stale-read",
];

export const REQUEST_FAULTS: readonly RequestFault[] = SLOTS;

export function isRequestFault(kind: string): kind is RequestFault {
  return (SLOTS as readonly string[]).includes(kind);
}

const TIMED: ReadonlySet<RequestFault> = new Set(["slow-request", "slow-reply", "late", "duplicate", "retry"]);

/** Whether `x` of this kind is a time and not a probability. */
export function isTimed(kind: RequestFault): boolean {
  return TIMED.has(kind);
}

/** The fate of an undisturbed request. */
export function calmFate(latency: Latency, draws: Draws): Fate {
  const at = (i: number): number => draws.unit[i] ?? 0;
  return {
    requestMs: latency.minMs / 2 + exponential(at(0), latency.meanMs / 2),
    replyMs: latency.minMs / 2 + exponential(at(1), latency.meanMs / 2),
    requestLost: false,
    replyLost: false,
    duplicateMs: undefined,
    answerOfDuplicate: false,
    resetMs: undefined,
    status: undefined,
    applied: false,
    staleBy: 0,
    skewUnit: at(2),
  };
}

/**
 * Adds one fault to a fate.
 * @param x probability or longest time, as the kind has it
 * @param certain the fault strikes whatever the probability, at its full time
 * @returns whether it struck
 */
export function strike(fate: Fate, kind: RequestFault, x: number, draws: Draws, certain = false): boolean {
  const own = draws.unit[4 + SLOTS.indexOf(kind)] ?? 0;
  const coin = draws.unit[3] ?? 0;
  if (TIMED.has(kind)) {
    strikeTimed(fate, kind, certain ? x : own * x);
    return true;
  }
  if (!certain && own >= x) return false;
  switch (kind) {
    case "lose-request":
      fate.requestLost = true;
      break;
    case "lose-reply":
      fate.replyLost = true;
      break;
    case "reset":
      if (coin < 0.5) fate.requestLost = true;
      else fate.replyLost = true;
      fate.resetMs = fate.requestMs + fate.replyMs;
      break;
    case "error-500":
    case "busy-503":
      fate.status = kind === "error-500" ? 500 : 503;
      fate.applied = coin < 0.5;
      break;
    case "busy-429":
      fate.status = 429;
      break;
    case "conflict-409":
      fate.status = 409;
      break;
    case "stale-read":
      fate.staleBy = 1 + Math.floor(coin * 3);
      break;
    default:
      throw new TypeError(`${kind} is no fault of a request`);
  }
  return true;
}

function strikeTimed(fate: Fate, kind: RequestFault, ms: number): void {
  switch (kind) {
    case "slow-request":
      fate.requestMs += ms;
      break;
    case "slow-reply":
      fate.replyMs += ms;
      break;
    case "late":
      fate.requestMs += ms;
      fate.replyLost = true;
      break;
    case "duplicate":
      fate.duplicateMs = ms;
      break;
    case "retry":
      fate.duplicateMs = ms;
      fate.answerOfDuplicate = true;
      break;
    default:
      throw new TypeError(`${kind} takes no time`);
  }
}
