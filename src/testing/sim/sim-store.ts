/**
 * The store as one simulated process sees it: the port `ObjectStore`, with a network between it and the simulated S3. One call is one attempt;
 * time limits and abort signals are obeyed on the process's own clock, and giving up takes nothing back: the request still travels.
 */
import type { Clock, Random, TimerHandle } from "../../clock/clock.ts";
import { readClocks, remainingMs } from "../../clock/deadline.ts";
import { ConfigError, StoreUnavailableError, StoreUnsafeError } from "../../errors.ts";
import type {
  ListEntry,
  ListResult,
  ObjectStore,
  ReadResult,
  RequestOptions,
  Stats,
  StoreVerdict,
  Unavailable,
  WriteResult,
} from "../../store/object-store.ts";
import { drawsOf, type Fate, type RequestClass } from "./faults.ts";
import { KeyedRandom } from "./keyed-random.ts";
import type { Network } from "./network.ts";
import type { SimProcess } from "./sim-node.ts";
import type { S3Operation, S3Reply, SimS3 } from "./sim-s3.ts";

/** One attempt on the wire, told to whoever watches. */
export interface Attempt {
  readonly process: SimProcess;
  readonly number: number;
  readonly operation: S3Operation;
  readonly fate: Fate;
  readonly sentMs: number;
  /** Set when the store carried it out. */
  executedMs?: number;
  /** Set when the client heard the answer or gave up. */
  answeredMs?: number;
  outcome?: Answer;
}

/** What the client made of an attempt: an HTTP answer, or why there was none. */
export type Answer =
  { readonly kind: "reply"; readonly reply: S3Reply } | { readonly kind: "none"; readonly why: "timeout" | "aborted" | "reset" };

export interface SimStoreOptions {
  readonly s3: SimS3;
  readonly network: Network;
  /** Time limit of a request that names none, in milliseconds. Default 5 s. */
  readonly timeoutMs?: number | undefined;
}

const PROBE_KEY = ".s3-consensus/probe";

export class SimStore implements ObjectStore {
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly #process: SimProcess;
  readonly #s3: SimS3;
  readonly #network: Network;
  readonly #timeoutMs: number;
  readonly #counts = new Map<string, number>();
  #verdict: StoreVerdict | undefined;
  #readVerdict: StoreVerdict | undefined;

  constructor(process: SimProcess, options: SimStoreOptions) {
    this.#process = process;
    this.#s3 = options.s3;
    this.#network = options.network;
    this.#timeoutMs = options.timeoutMs ?? 5_000;
    this.url = `sim://${process.node.name}/${process.generation}`;
    this.clock = process.clock;
    this.random = process.random;
  }

  stats(): Stats {
    return Object.fromEntries(this.#counts);
  }

  prepare(): Promise<void> {
    return Promise.resolve();
  }

  /** One request that must be refused, as a real store proves its client and path (rule W9); then what the profile says of the store. */
  async ensureSafe(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<StoreVerdict> {
    options.signal?.throwIfAborted();
    if (this.#verdict !== undefined) return this.#verdict;
    const answer = await this.#send({ kind: "replace", key: PROBE_KEY, etag: '"never"', body: new Uint8Array(0) }, options);
    options.signal?.throwIfAborted();
    if (answer.kind === "none") throw unavailable(answer.why);
    const { status } = answer.reply;
    if (status === 200)
      throw new StoreUnsafeError("the store carried out a write whose condition did not hold", { step: "replace with a wrong ETag" });
    if (status !== 404 && status !== 412) throw unavailable(status);
    const { storeTime, skewMs } = this.#s3.profile;
    this.#verdict = { storeTime, skewMs, remarks: [] };
    return this.#verdict;
  }

  /** By one read where a real store keeps its verdict; that somebody left one there is taken for granted. */
  async knownVerdict(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<StoreVerdict | undefined> {
    options.signal?.throwIfAborted();
    if (this.#verdict !== undefined || this.#readVerdict !== undefined) return this.#verdict ?? this.#readVerdict;
    const answer = await this.#send({ kind: "get", key: PROBE_KEY, ifNoneMatch: undefined }, options);
    options.signal?.throwIfAborted();
    const { storeTime, skewMs } = this.#s3.profile;
    if (answer.kind === "reply" && (answer.reply.status === 200 || answer.reply.status === 404))
      this.#readVerdict = { storeTime, skewMs, remarks: [] };
    return this.#readVerdict;
  }

  async get(
    key: string,
    options: RequestOptions & { readonly ifNoneMatch?: string | undefined; readonly maxBytes?: number | undefined } = {},
  ): Promise<ReadResult> {
    const answer = await this.#send({ kind: "get", key, ifNoneMatch: options.ifNoneMatch }, options);
    if (answer.kind === "none") return this.#readFailed(unavailable(answer.why));
    const { status, dateMs, object } = answer.reply;
    if (status === 304) {
      this.#count("getNotModified");
      return { kind: "not-modified", dateMs };
    }
    if (status === 404) return { kind: "absent", dateMs };
    if (status !== 200 || object === undefined) return this.#readFailed(unavailable(status));
    const { etag, body, lastModifiedMs } = object;
    if (options.maxBytes !== undefined && body.length > options.maxBytes) return { kind: "too-large", etag, size: body.length };
    return { kind: "found", etag, body: body.slice(), dateMs, lastModifiedMs: this.#s3.profile.dates ? lastModifiedMs : undefined };
  }

  create(key: string, body: Uint8Array, options: RequestOptions = {}): Promise<WriteResult> {
    return this.#write({ kind: "create", key, body: body.slice() }, options);
  }

  async replace(key: string, etag: string, body: Uint8Array, options: RequestOptions = {}): Promise<WriteResult> {
    // Some stores take an empty or starred condition for none at all (rule W8): such a write is a mistake of the caller.
    if (etag === "" || etag === "*" || etag === '"*"')
      throw new ConfigError("replace", [`etag: ${JSON.stringify(etag)} is none (key ${key})`]);
    return this.#write({ kind: "replace", key, etag, body: body.slice() }, options);
  }

  async list(
    prefix: string,
    options: RequestOptions & { readonly after?: string | undefined; readonly limit?: number | undefined } = {},
  ): Promise<ListResult> {
    const answer = await this.#send({ kind: "list", prefix, after: options.after, limit: options.limit ?? 1_000 }, options);
    if (answer.kind === "none") return this.#readFailed(unavailable(answer.why));
    const { status, dateMs, entries, next } = answer.reply;
    if (status !== 200 || entries === undefined) return this.#readFailed(unavailable(status));
    const rows = entries.map(([key, object]): ListEntry => {
      return { key, etag: object.etag, size: object.body.length, lastModifiedMs: object.lastModifiedMs };
    });
    return { kind: "page", entries: rows, next, dateMs };
  }

  async remove(
    key: string,
    options: RequestOptions & { readonly ifMatch?: string | undefined } = {},
  ): Promise<"removed" | "refused" | Unavailable> {
    const answer = await this.#send({ kind: "remove", key, etag: options.ifMatch }, options);
    if (answer.kind === "none") return this.#readFailed(unavailable(answer.why));
    const { status } = answer.reply;
    if (status === 204) return "removed";
    return status === 404 || status === 412 ? "refused" : this.#readFailed(unavailable(status));
  }

  async #write(operation: S3Operation, options: RequestOptions): Promise<WriteResult> {
    const result = classify(await this.#send(operation, options));
    if (result.kind !== "applied") this.#count(`put${capital(result.kind)}`);
    return result;
  }

  #readFailed(error: StoreUnavailableError): Unavailable {
    this.#count("failed");
    return { kind: "unavailable", error };
  }

  #count(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  #send(operation: S3Operation, options: RequestOptions): Promise<Answer> {
    const process = this.#process;
    // The code of a dead process may still run to its next wait; what it asks for then is never sent and never answered.
    if (!process.isAlive) return new Promise(() => {});
    const { signal } = options;
    const isLate = options.sendBy !== undefined && remainingMs(options.sendBy, readClocks(this.clock)) <= 0;
    if (signal?.aborted === true || isLate) return Promise.resolve({ kind: "none", why: "aborted" });
    const { world } = process.node;
    const on = classOf(operation);
    const number = ++process.requests;
    const draws = drawsOf(new KeyedRandom(world.seed, "request", process.node.name, process.generation, number));
    const fate = this.#network.fateOf(process.node.name, on, draws, "key" in operation && operation.key === PROBE_KEY);
    const attempt: Attempt = { process, number, operation, fate, sentMs: world.nowMs };
    world.log("send", process.node.name, number, () => `${operation.kind} ${"key" in operation ? operation.key : operation.prefix}`);
    this.#count(on);
    this.#network.tell("sent", attempt);
    return new Promise((resolve) => {
      const wire = new Wire(attempt, this.#s3, this.#network, resolve);
      wire.start(options.timeoutMs ?? this.#timeoutMs, signal);
    });
  }
}

/** One attempt under way: what travels, and who waits for it. */
class Wire {
  readonly #attempt: Attempt;
  readonly #s3: SimS3;
  readonly #network: Network;
  readonly #resolve: (answer: Answer) => void;
  #timer: TimerHandle | undefined;
  #undo: (() => void) | undefined;
  #settled = false;

  constructor(attempt: Attempt, s3: SimS3, network: Network, resolve: (answer: Answer) => void) {
    this.#attempt = attempt;
    this.#s3 = s3;
    this.#network = network;
    this.#resolve = resolve;
  }

  start(timeoutMs: number, signal: AbortSignal | undefined): void {
    const { process, fate } = this.#attempt;
    const { world } = process.node;
    process.inFlight++;
    this.#timer = process.clock.setTimer(timeoutMs, () => this.#settle({ kind: "none", why: "timeout" }), { keepAlive: true });
    if (signal !== undefined) {
      const onAbort = (): void => this.#settle({ kind: "none", why: "aborted" });
      signal.addEventListener("abort", onAbort, { once: true });
      this.#undo = () => signal.removeEventListener("abort", onAbort);
    }
    if (!fate.requestLost) {
      const arriveMs = world.nowMs + fate.requestMs;
      world.schedule(arriveMs, () => this.#arrive(false));
      if (fate.duplicateMs !== undefined) world.schedule(arriveMs + fate.duplicateMs, () => this.#arrive(true));
    }
    if (fate.resetMs !== undefined) world.schedule(world.nowMs + fate.resetMs, () => this.#deliver({ kind: "none", why: "reset" }));
  }

  #arrive(again: boolean): void {
    const { process, fate, number } = this.#attempt;
    const { world } = process.node;
    const reply = this.#execute();
    world.log(again ? "arrive-again" : "arrive", process.node.name, number, () => String(reply.status));
    if (fate.replyLost || again !== fate.answerOfDuplicate) return;
    world.schedule(world.nowMs + fate.replyMs, () => this.#deliver({ kind: "reply", reply }));
  }

  #execute(): S3Reply {
    const { fate, operation } = this.#attempt;
    const trouble = this.#troubleStatus();
    if (trouble !== undefined && !fate.applied) return { status: trouble, dateMs: undefined };
    this.#attempt.executedMs ??= this.#attempt.process.node.world.nowMs;
    const reply = this.#s3.execute(operation, { by: this.#attempt, skewUnit: fate.skewUnit, staleBy: fate.staleBy });
    this.#network.tell("executed", this.#attempt);
    return trouble === undefined ? reply : { status: trouble, dateMs: undefined };
  }

  #troubleStatus(): number | undefined {
    const { fate, operation } = this.#attempt;
    const isWrite = operation.kind === "create" || operation.kind === "replace";
    return fate.status === 409 && !isWrite ? undefined : fate.status;
  }

  #deliver(answer: Answer): void {
    const { process } = this.#attempt;
    process.node.deliver(process, "answer", () => this.#settle(answer));
  }

  #settle(answer: Answer): void {
    if (this.#settled) return;
    this.#settled = true;
    const { process, number } = this.#attempt;
    const { world } = process.node;
    process.inFlight--;
    this.#timer?.cancel();
    this.#undo?.();
    this.#attempt.answeredMs = world.nowMs;
    this.#attempt.outcome = answer;
    const what = answer.kind === "reply" ? answer.reply.status : answer.why;
    world.log("answer", process.node.name, number, () => String(what));
    this.#network.tell("answered", this.#attempt);
    this.#resolve(answer);
  }
}

function classOf(operation: S3Operation): RequestClass {
  switch (operation.kind) {
    case "create":
    case "replace":
      return "put";
    case "remove":
      return "delete";
    default:
      return operation.kind;
  }
}

/** The classes of rule W2, from the status alone. */
function classify(answer: Answer): WriteResult {
  if (answer.kind === "none") return { kind: "unknown", error: unavailable(answer.why) };
  const { status, etag, dateMs } = answer.reply;
  if (status === 200 && etag !== undefined) return { kind: "applied", etag, dateMs };
  if (status === 412 || status === 404) return { kind: "refused", status, dateMs };
  const error = unavailable(status);
  if (status === 409 || status === 429) return { kind: "busy", certain: true, retryAfterMs: status === 429 ? 1_000 : undefined, error };
  if (status === 503) return { kind: "busy", certain: false, retryAfterMs: 1_000, error };
  return { kind: "unknown", error };
}

function unavailable(why: number | string): StoreUnavailableError {
  return typeof why === "number"
    ? new StoreUnavailableError(`the simulated store answered ${why}`, { status: why })
    : new StoreUnavailableError(`the simulated request was not answered: ${why}`);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
