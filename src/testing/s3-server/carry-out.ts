/** Carries one request out under its plan: what is executed, how often and when, and what the client gets to see of it. */
import type { Clock } from "../../clock/clock.ts";
import type { FaultRules, Of, Plan, Rule } from "./fault-rules.ts";
import type { Fault, NetworkFault } from "./faults.ts";
import type { WireAnswer, WireRequest } from "./wire.ts";
import { errorAnswer } from "./xml.ts";

/** The client's end of one request. Every call after the first that ends it does nothing. */
export interface Client {
  send(answer: WireAnswer): void;
  sendHalf(answer: WireAnswer): void;
  reset(): void;
}

export interface Exchange {
  readonly request: WireRequest;
  readonly plan: Plan;
  readonly client: Client;
  readonly rules: Pick<FaultRules<Fault>, "swallows">;
  readonly clock: Clock;
  /** Aborts when the server closes: nothing is executed any more. */
  readonly signal: AbortSignal;
  /** Once for each time that the request reaches the store. `undefined`: the store gave no answer. */
  execute(): Promise<WireAnswer | undefined>;
}

export function carryOut(exchange: Exchange): Promise<void> {
  const { plan } = exchange;
  const before = plan.delays.filter((rule) => rule.fault.side !== "reply");
  return afterDelays(exchange, before, () => end(exchange));
}

/** One delay after the other, then `go`. */
async function afterDelays(exchange: Exchange, delays: Plan["delays"], go: () => Promise<void>): Promise<void> {
  const [first, ...rest] = delays;
  if (first === undefined) return go();
  await first.pass(exchange.clock, first.fault.delayMs, exchange.signal, () => afterDelays(exchange, rest, go));
}

async function end(exchange: Exchange): Promise<void> {
  if (exchange.signal.aborted) return;
  const { ending } = exchange.plan;
  if (ending === undefined) return reply(exchange, await exchange.execute());
  const { fault } = ending;
  switch (fault.kind) {
    case "lose-request":
      return drop(exchange, fault.hang);
    case "lose-reply":
      await exchange.execute();
      return drop(exchange, fault.hang);
    case "late":
      drop(exchange, fault.hang);
      return ending.pass(exchange.clock, fault.delayMs, exchange.signal, () => executeOnly(exchange));
    case "duplicate":
      return twice(exchange, ending, fault);
    case "black-hole":
      if (fault.executed === true) await exchange.execute();
      return;
    case "half-body": {
      const answer = await exchange.execute();
      return replyBy(exchange, answer, (whole) => exchange.client.sendHalf(whole));
    }
    case "status":
      if (fault.executed === true) await exchange.execute();
      return reply(exchange, statusAnswer(fault, exchange.request));
  }
}

function drop(exchange: Exchange, hang: boolean | undefined): void {
  if (hang !== true) exchange.client.reset();
}

async function executeOnly(exchange: Exchange): Promise<void> {
  await exchange.execute();
}

async function twice(exchange: Exchange, rule: Rule, fault: Of<NetworkFault, "duplicate">): Promise<void> {
  const first = await exchange.execute();
  const again = (go: () => Promise<void>): Promise<void> => rule.pass(exchange.clock, fault.delayMs ?? 0, exchange.signal, go);
  if (fault.answer === "second") return again(async () => reply(exchange, await exchange.execute()));
  await Promise.all([reply(exchange, first), again(() => executeOnly(exchange))]);
}

function reply(exchange: Exchange, answer: WireAnswer | undefined): Promise<void> {
  return replyBy(exchange, answer, (whole) => exchange.client.send(whole));
}

async function replyBy(exchange: Exchange, answer: WireAnswer | undefined, send: (answer: WireAnswer) => void): Promise<void> {
  const { plan, client, rules, request } = exchange;
  const after = plan.delays.filter((rule) => rule.fault.side === "reply");
  await afterDelays(exchange, after, async () => {
    if (rules.swallows(request)) return;
    // A server that gives no answer looks from the client like this: its connection breaks.
    if (answer === undefined) client.reset();
    else send(answer);
  });
}

const CODES: Readonly<Record<number, string>> = {
  400: "InvalidRequest",
  401: "AccessDenied",
  403: "AccessDenied",
  404: "NoSuchKey",
  409: "ConditionalRequestConflict",
  412: "PreconditionFailed",
  429: "TooManyRequests",
  500: "InternalError",
  501: "NotImplemented",
  503: "SlowDown",
};

function statusAnswer(fault: Of<NetworkFault, "status">, request: WireRequest): WireAnswer {
  const { status, retryAfterMs } = fault;
  const headers = Object.entries(fault.headers ?? {});
  if (retryAfterMs !== undefined) headers.push(["Retry-After", String(Math.ceil(retryAfterMs / 1_000))]);
  const code = fault.code ?? CODES[status] ?? "InjectedFault";
  return errorAnswer({ status, code, message: fault.message ?? `injected: ${status} ${code}`, key: request.key, headers });
}
