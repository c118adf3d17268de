/** Turns what the proxies hand on to the server into a history of attempts: one for each time that a request reaches the store. */
import process from "node:process";
import { type Attempt, outcomeOf } from "../../src/testing/history/index.ts";
import type { FaultProxyOptions } from "../../src/testing/index.ts";

type OnForward = NonNullable<FaultProxyOptions["onForward"]>;
type WireRequest = Parameters<OnForward>[0];
type WireAnswer = Parameters<NonNullable<ReturnType<OnForward>>>[0];

/** Only records that are contended for are in the history: what the probe writes has no nonces, and a session's member has one writer. */
export const RECORDS = "locks/elections/";
export const LOCKS = "locks/locks/";
/** What faults strike: these, and the members of sessions. */
export const LEASES: RegExp = /^locks\/(?:elections|locks|members)\//;

interface UnderWay {
  readonly request: WireRequest;
  readonly client: string;
  readonly sentMs: number;
}

export class Tap {
  readonly #done: Attempt[] = [];
  readonly #underWay = new Set<UnderWay>();
  readonly #copies = new Map<string, Copy[]>();
  #onWrite: (() => void) | undefined;

  /** For one client's proxy. */
  for(client: string): OnForward {
    return (request) => {
      if (!request.key.startsWith(RECORDS) && !request.key.startsWith(LOCKS)) return undefined;
      const underWay: UnderWay = { request, client, sentMs: nowMs() };
      this.#underWay.add(underWay);
      if (request.method === "PUT") this.#announceWrite();
      return (answer) => {
        this.#underWay.delete(underWay);
        const attempt = attemptOf(underWay, answer, nowMs());
        this.#done.push(attempt);
        if (attempt.outcome === "applied") this.#keep(attempt, request.body.toString("utf8"));
      };
    };
  }

  /** How many requests for this key are at the server now. */
  underWay(key: string): number {
    return [...this.#underWay].filter((entry) => entry.request.key === key).length;
  }

  /** Resolves when the next write is about to be handed on; `false` if none comes within this time. */
  nextWrite(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), withinMs);
      this.#onWrite = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  /** Records of this key as they were written, oldest first; the last is the newest that is known. */
  copiesOf(key: string): readonly Copy[] {
    return this.#copies.get(key) ?? [];
  }

  /** An outsider's write or delete, which doesn't come through a proxy. */
  intervene(attempt: Attempt): void {
    this.#done.push(attempt);
  }

  #announceWrite(): void {
    const onWrite = this.#onWrite;
    this.#onWrite = undefined;
    onWrite?.();
  }

  #keep({ key, fencingToken }: Attempt, body: string): void {
    if (fencingToken === undefined) return;
    this.#copies.set(key, [...this.copiesOf(key), { body, fencingToken }].slice(-KEPT_COPIES));
  }

  /** Everything so far; what has no answer may still be carried out. */
  get attempts(): Attempt[] {
    const open = [...this.#underWay].map((entry) => attemptOf(entry, undefined, undefined));
    return [...this.#done, ...open].sort((a, b) => a.sentMs - b.sentMs);
  }
}

/** A record as it once stood in the store. */
export interface Copy {
  readonly body: string;
  readonly fencingToken: number;
}

const KEPT_COPIES = 200;

export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function attemptOf({ request, client, sentMs }: UnderWay, answer: WireAnswer, answeredMs: number | undefined): Attempt {
  const { kind, condition } = kindOf(request);
  const outcome = outcomeOf(kind, answer?.status);
  const body = kind === "read" ? answer?.body : request.body;
  const etag = bare(answer?.headers.find(([name]) => name.toLowerCase() === "etag")?.[1]);
  const answered = answeredMs === undefined || answer === undefined ? undefined : answeredMs;
  return {
    type: "attempt",
    key: request.key,
    kind,
    outcome,
    client,
    condition,
    status: answer?.status,
    etag: outcome === "found" || outcome === "applied" ? etag : undefined,
    ...(outcome === "not-modified" || outcome === "absent" || outcome === "nothing" ? {} : recordFields(body)),
    sentMs,
    answeredMs: answered,
  };
}

function kindOf({ method, headers }: WireRequest): Pick<Attempt, "kind" | "condition"> {
  if (method === "GET" || method === "HEAD") return { kind: "read", condition: bare(headers["if-none-match"]) };
  if (method === "DELETE") return { kind: "delete" };
  if (headers["if-none-match"] === "*") return { kind: "create" };
  const condition = bare(headers["if-match"]);
  return condition === undefined ? { kind: "overwrite" } : { kind: "replace", condition };
}

function bare(etag: string | undefined): string | undefined {
  return etag?.replaceAll('"', "");
}

/** What a record says of itself; nothing for what is no record. */
export function recordFields(body: Uint8Array | undefined): Pick<Attempt, "nonce" | "fencingToken" | "state" | "instance"> {
  let record: unknown;
  try {
    record = JSON.parse(Buffer.from(body ?? []).toString("utf8"));
  } catch {
    return {};
  }
  if (typeof record !== "object" || record === null) return {};
  const { nonce, fencingToken, state, instance } = record as Readonly<Record<string, unknown>>;
  if (typeof nonce !== "string" || typeof fencingToken !== "number" || (state !== "held" && state !== "released")) return {};
  return { nonce, fencingToken, state, instance: typeof instance === "string" ? instance : undefined };
}
