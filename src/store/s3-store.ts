/** Amazon S3 and what speaks its language, as an `ObjectStore`. */
import pRetry from "p-retry";
import type { Clock, Random } from "../clock/clock.ts";
import { systemClock, systemRandom } from "../clock/system.ts";
import { link } from "../clock/wait.ts";
import { ConfigError, StoreUnavailableError } from "../errors.ts";
import { show } from "../options.ts";
import { checkEtag, checkKey } from "./keys.ts";
import type {
  Denied,
  ListResult,
  ObjectStore,
  ReadResult,
  RequestOptions,
  Stats,
  StoreVerdict,
  Unavailable,
  WriteResult,
} from "./object-store.ts";
import { FULL_PROBE, runProbe, type ProbePort, type ProbeStep } from "./probe.ts";
import type { About } from "./s3-advice.ts";
import {
  accessError,
  CLOCK_SKEWED,
  EXPIRED,
  failureOf,
  readResultOf,
  readTrouble,
  removalOf,
  RequestTimeoutError,
  writeResultOf,
} from "./s3-classify.ts";
import type { S3Settings } from "./s3-options.ts";
import { headerTime, type WireAnswer, type WireRequest } from "./s3-answer.ts";
import { connect, type Wire } from "./s3-wire.ts";
import { proveSafe, readVerdict, saveVerdict } from "./safety.ts";
import { SharedFlight } from "./shared-flight.ts";
import { DEFAULT_SKEW_MS } from "./store-times.ts";
import { failureOfError, type Failure, type Findings, type Place } from "./verdict.ts";

const READ_RETRIES = 2;
const READ_RETRY_MIN_MS = 50;
const READ_RETRY_MAX_MS = 500;
/** A reader that found no verdict looks for one again after this. */
const VERDICT_READ_PAUSE_MS = 60_000;
/** After answers that were fine, a clock that the store calls wrong for longer than this is: then it is denied, with what to do. */
const CLOCK_PATIENCE_MS = 5_000;
/** What a read transfers at most where the caller names no limit. */
const DEFAULT_MAX_BYTES = 67_108_864;
/** Longer limits are cut to this: a timer is never set for longer, and no request is worth more. */
const MAX_REQUEST_MS = 30_000;

type Outcome = { readonly answer: WireAnswer; readonly sentMs: number } | { readonly failure: Denied | ReturnType<typeof failureOf> };

export interface FullProbeOptions {
  readonly signal?: AbortSignal | undefined;
  readonly save?: boolean | undefined;
  /** Hears of each step that the store has passed; of a race once for each round. */
  readonly onStep?: ((step: ProbeStep) => void) | undefined;
}

export interface FullProbe extends Findings {
  /** Whether the verdict object says so now. */
  readonly saved: boolean;
}

type Removal = { readonly kind: "removed" } | { readonly kind: "refused" };

export class S3Store implements ObjectStore {
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  /** The time limit of a request that names none, in milliseconds. */
  readonly requestTimeoutMs: number;
  readonly #settings: S3Settings;
  readonly #safety: SharedFlight<StoreVerdict>;
  readonly #counts = {
    get: 0,
    getNotModified: 0,
    put: 0,
    list: 0,
    delete: 0,
    setting: 0,
    retries: 0,
    applied: 0,
    refused: 0,
    busy: 0,
    unknown: 0,
    unavailable: 0,
    denied: 0,
  };
  readonly #ownRuns = new Set<string>();
  #readVerdict: StoreVerdict | undefined;
  #nextVerdictReadMs = Number.NEGATIVE_INFINITY;
  #wire: Promise<Wire> | undefined;
  #unquoted: boolean;
  #everAnswered = false;
  #everFine = false;
  #skewedSinceMs: number | undefined;
  #renewing = false;
  #renewedAtMs = Number.POSITIVE_INFINITY;

  constructor(settings: S3Settings, clock: Clock = systemClock, random: Random = systemRandom) {
    this.#settings = settings;
    this.url = settings.url;
    this.clock = clock;
    this.random = random;
    this.requestTimeoutMs = settings.requestTimeoutMs;
    this.#unquoted = settings.etagQuoting === "unquoted";
    this.#safety = new SharedFlight((signal) => this.#proveSafe(signal));
  }

  stats(): Stats {
    return { ...this.#counts };
  }

  checkKey(key: string): void {
    checkKey(this.url, this.#settings.prefix, key);
  }

  async prepare(): Promise<void> {
    try {
      const wire = await this.#connected();
      wire.dropStaleSockets();
      // Static credentials take a microtask; a slow metadata service must not eat the request's time (rule H1 counts from the send).
      await this.#limited({}, "the credentials were not there", () => wire.resolveCredentials(false));
    } catch {
      // The request itself tells what is wrong.
    }
  }

  async ensureSafe(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<StoreVerdict> {
    return await this.#safety.join(options.signal);
  }

  async knownVerdict(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<StoreVerdict | undefined> {
    options.signal?.throwIfAborted();
    const known = this.#safety.kept ?? this.#readVerdict;
    const nowMs = this.clock.monotonicMs();
    if (known !== undefined || !this.#settings.probe || nowMs < this.#nextVerdictReadMs) return known;
    this.#nextVerdictReadMs = nowMs + VERDICT_READ_PAUSE_MS;
    this.#readVerdict = await readVerdict(this.#port(), { place: await this.#place(), signal: options.signal });
    return this.#readVerdict;
  }

  async get(
    key: string,
    options: RequestOptions & { readonly ifNoneMatch?: string | undefined; readonly maxBytes?: number | undefined } = {},
  ): Promise<ReadResult> {
    this.#check(key, options);
    if (options.ifNoneMatch !== undefined) checkEtag(this.url, options.ifNoneMatch);
    const request: WireRequest = {
      op: "get",
      key: this.#settings.prefix + key,
      ifNoneMatch: options.ifNoneMatch === undefined ? undefined : this.#spelled(options.ifNoneMatch),
      maxBytes: options.maxBytes ?? DEFAULT_MAX_BYTES,
    };
    const result = await this.#read(request, options, readResultOf);
    if (result.kind === "not-modified") this.#counts.getNotModified++;
    return this.#counted(result);
  }

  async create(key: string, body: Uint8Array, options: RequestOptions = {}): Promise<WriteResult> {
    this.#check(key, options, body);
    return await this.#write({ op: "put", key: this.#settings.prefix + key, ifNoneMatch: "*", body, sendBy: options.sendBy }, options);
  }

  async replace(key: string, etag: string, body: Uint8Array, options: RequestOptions = {}): Promise<WriteResult> {
    this.#check(key, options, body);
    checkEtag(this.url, etag);
    const ifMatch = this.#spelled(etag);
    return await this.#write({ op: "put", key: this.#settings.prefix + key, ifMatch, body, sendBy: options.sendBy }, options);
  }

  async list(
    prefix: string,
    options: RequestOptions & { readonly after?: string | undefined; readonly limit?: number | undefined } = {},
  ): Promise<ListResult> {
    this.#checkTimeout(options);
    const base = this.#settings.prefix;
    const limit = Math.min(Math.max(1, options.limit ?? 1000), 1000);
    const after = options.after === undefined ? undefined : base + options.after;
    const request: WireRequest = { op: "list", key: base + prefix, after, limit };
    return this.#counted(
      await this.#read(request, options, (answer, about): ListResult => {
        if (answer.status < 200 || answer.status >= 300) return readTrouble(answer, about);
        const objects = answer.listing?.objects ?? [];
        const entries = objects.filter((o) => o.key.startsWith(base)).map((o) => ({ ...o, key: o.key.slice(base.length) }));
        const next = answer.listing?.truncated === true ? entries.at(-1)?.key : undefined;
        return { kind: "page", entries, next, dateMs: headerTime(answer.headers["date"]) };
      }),
    );
  }

  async remove(
    key: string,
    options: RequestOptions & { readonly ifMatch?: string | undefined } = {},
  ): Promise<"removed" | "refused" | Unavailable | Denied> {
    this.#check(key, options);
    const { ifMatch, sendBy } = options;
    if (ifMatch !== undefined) checkEtag(this.url, ifMatch);
    const etag = ifMatch === undefined ? undefined : this.#spelled(ifMatch);
    const request: WireRequest = { op: "delete", key: this.#settings.prefix + key, ifMatch: etag, sendBy };
    const result = await this.#read<Removal>(request, options, (answer, about) => {
      const kind = removalOf(answer, ifMatch !== undefined);
      return kind === undefined ? readTrouble(answer, about) : { kind };
    });
    return result.kind === "removed" || result.kind === "refused" ? result.kind : this.#counted(result);
  }

  /** The key as the bucket has it, and its answers to `examine`. */
  wholeKey(key: string): string {
    return this.#settings.prefix + key;
  }

  /** One attempt of any request, for those who ask what nothing else here needs (`doctor`, earlier versions). */
  async examine(request: WireRequest): Promise<WireAnswer | Unavailable | Denied> {
    const outcome = await this.#attempt({ ...request, key: this.wholeKey(request.key) }, {});
    if ("answer" in outcome) return outcome.answer;
    return outcome.failure.kind === "denied" ? outcome.failure : { kind: "unavailable", error: outcome.failure.error };
  }

  /** One attempt, whatever comes of it (rule W2). */
  async #write(request: WireRequest, options: RequestOptions): Promise<WriteResult> {
    const outcome = await this.#attempt(request, options);
    const about = this.#aboutAnswer(request, outcome);
    let result: WriteResult;
    if ("answer" in outcome)
      result = this.#expired(outcome, about) ?? writeResultOf(outcome.answer, about, request.ifMatch === undefined ? "create" : "replace");
    else if (outcome.failure.kind === "denied") result = outcome.failure;
    else if (outcome.failure.neverSent) result = { kind: "busy", certain: true, retryAfterMs: undefined, error: outcome.failure.error };
    else result = { kind: "unknown", error: outcome.failure.error };
    this.#counts[result.kind]++;
    return result;
  }

  /** Up to three attempts inside one time limit: reading again is harmless, and a blip should not cost a poll. */
  async #read<R extends { readonly kind: string }>(
    request: WireRequest,
    options: RequestOptions,
    resultOf: (answer: WireAnswer, about: About) => R | Unavailable | Denied,
  ): Promise<R | Unavailable | Denied> {
    const about = this.#about(request);
    const startMs = this.clock.monotonicMs();
    const limitMs = this.#limitMs(options);
    const leftMs = (): number => limitMs - (this.clock.monotonicMs() - startMs);
    let last: R | Unavailable | Denied | undefined;
    const once = async (attempt: number): Promise<R | Unavailable | Denied> => {
      if (attempt > 1) this.#counts.retries++;
      const outcome = await this.#attempt(request, { signal: options.signal, timeoutMs: Math.max(1, leftMs()) });
      const about = this.#aboutAnswer(request, outcome);
      if ("answer" in outcome) last = this.#expired(outcome, about) ?? resultOf(outcome.answer, about);
      else last = outcome.failure.kind === "denied" ? outcome.failure : { kind: "unavailable", error: outcome.failure.error };
      if (last.kind === "unavailable") throw (last as Unavailable).error;
      return last;
    };
    try {
      return await pRetry(once, {
        // A DELETE of one version, or in time, is one attempt: what a second one may do, the signature of the first does not bound.
        retries: request.ifMatch === undefined && request.sendBy === undefined ? READ_RETRIES : 0,
        minTimeout: READ_RETRY_MIN_MS,
        maxTimeout: READ_RETRY_MAX_MS,
        randomize: true,
        shouldRetry: () => options.signal?.aborted !== true && leftMs() > 2 * READ_RETRY_MAX_MS,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
    } catch (error) {
      if (last !== undefined) return last;
      return {
        kind: "unavailable",
        error: new StoreUnavailableError(`the ${request.op} of ${JSON.stringify(about.key)} was aborted`, { cause: error }),
      };
    }
  }

  async #attempt(request: WireRequest, options: RequestOptions): Promise<Outcome> {
    try {
      const wire = await this.#connected();
      wire.dropStaleSockets();
      this.#counts[request.op]++;
      const limitMs = this.#limitMs(options);
      const sentMs = this.clock.monotonicMs();
      const answer = await this.#limited(options, `no answer within ${limitMs} ms`, (signal) => wire.send(request, signal, limitMs));
      this.#everAnswered = true;
      return { answer, sentMs };
    } catch (error) {
      const failure = failureOf(error, this.#about(request));
      return { failure: failure.kind === "denied" ? this.#mendable(failure) : await this.#believed(failure) };
    }
  }

  /** Credentials that were there before may come back: a metadata service has its bad minutes, and a holder has its deadline. */
  #mendable(failure: Denied): ReturnType<typeof failureOf> {
    if (!this.#everAnswered || failure.error.code !== "STORE_ACCESS") return failure;
    return { kind: "failed", neverSent: true, error: new StoreUnavailableError(failure.error.message, { cause: failure.error }) };
  }

  /** What a user's own transport calls "never connected" may have been its second attempt. */
  async #believed<F extends ReturnType<typeof failureOf>>(
    failure: F,
  ): Promise<F | { readonly kind: "failed"; readonly neverSent: boolean; readonly error: StoreUnavailableError }> {
    if (failure.kind !== "failed" || !failure.neverSent || (await this.#connected()).ownClient) return failure;
    return { ...failure, neverSent: false };
  }

  /** Runs `fn` under the limit and the caller's signal. The timer is the clock's, so that virtual time ends requests too. */
  async #limited<T>(options: RequestOptions, late: string, fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const unlink = link(options.signal, controller);
    const timer = this.clock.setTimer(this.#limitMs(options), () => controller.abort(new RequestTimeoutError(late)));
    try {
      return await new Promise<T>((resolve, reject) => {
        const onAbort = (): void => reject(controller.signal.reason as Error);
        if (controller.signal.aborted) return onAbort();
        controller.signal.addEventListener("abort", onAbort, { once: true });
        fn(controller.signal).then(resolve, reject);
      });
    } finally {
      timer.cancel();
      unlink();
    }
  }

  /** A session token that ran out is renewed; only a request sent after that and answered the same shows that no newer one is to be had. */
  #expired(outcome: { readonly answer: WireAnswer; readonly sentMs: number }, about: About): Denied | undefined {
    if (!EXPIRED.has(outcome.answer.code ?? "")) {
      this.#renewedAtMs = Number.POSITIVE_INFINITY;
      return undefined;
    }
    if (outcome.sentMs >= this.#renewedAtMs) return { kind: "denied", error: accessError(outcome.answer, about) };
    if (!this.#renewing) void this.#renewCredentials();
    return undefined;
  }

  async #renewCredentials(): Promise<void> {
    this.#renewing = true;
    try {
      const wire = await this.#connected();
      await this.#limited({}, "no new credentials", () => wire.resolveCredentials(true));
    } catch {
      // The next request tells.
    }
    this.#renewing = false;
    this.#renewedAtMs = this.clock.monotonicMs();
  }

  async #proveSafe(signal: AbortSignal): Promise<StoreVerdict> {
    const { etagQuoting, probe } = this.#settings;
    if (!probe) return { storeTime: false, skewMs: DEFAULT_SKEW_MS, remarks: ["not probed (probe: false)"] };
    const findings = await proveSafe(this.#port(), {
      place: await this.#place(),
      by: processName(),
      quoting: etagQuoting === "auto" ? undefined : etagQuoting,
      ownRuns: this.#ownRuns,
      signal,
    });
    this.#useEtagQuoting(findings.quoting);
    return { storeTime: findings.storeTime, skewMs: findings.skewMs, remarks: findings.remarks };
  }

  /**
   * Runs the whole probe now, whatever the verdict says; the `doctor` command calls it. With `save`, its result becomes the verdict: good, or that the
   * store is unsafe, which then holds for whoever comes within 30 days.
   * @throws StoreUnsafeError, StoreAccessError, StoreUnavailableError, or the reason of `signal`.
   */
  async fullProbe(options: FullProbeOptions = {}): Promise<FullProbe> {
    const port = this.#port();
    const place = await this.#place();
    const save = async (found: Findings | Failure): Promise<boolean> =>
      options.save === true && (await saveVerdict(port, { place, by: processName(), signal: options.signal }, found));
    try {
      const findings = await runProbe(port, { place, plan: FULL_PROBE, signal: options.signal, onStep: options.onStep });
      return { ...findings, saved: await save(findings) };
    } catch (error) {
      const failure = failureOfError(error);
      // Kept as well as can be: what was found is the news.
      if (failure?.code === "STORE_UNSAFE") await save(failure).catch(() => false);
      throw error;
    }
  }

  async #place(): Promise<Place> {
    const endpoint = await this.#connected().then(
      (wire) => wire.endpoint,
      () => "unknown",
    );
    return { endpoint, bucket: this.#settings.bucket, prefix: this.#settings.prefix };
  }

  #port(): ProbePort {
    return {
      url: this.url,
      clock: this.clock,
      random: this.random,
      get: (key, options) => this.get(key, options),
      create: (key, body, options) => this.create(key, body, options),
      replace: (key, etag, body, options) => this.replace(key, etag, body, options),
      remove: (key, options) => this.remove(key, options),
      useEtagQuoting: (quoting) => this.#useEtagQuoting(quoting),
    };
  }

  #useEtagQuoting(quoting: "quoted" | "unquoted"): boolean {
    if (this.#settings.etagQuoting !== "auto") return false;
    this.#unquoted = quoting === "unquoted";
    return true;
  }

  #connected(): Promise<Wire> {
    this.#wire ??= connect(this.#settings, this.clock).catch((error: unknown) => {
      this.#wire = undefined;
      throw error;
    });
    return this.#wire;
  }

  #spelled(etag: string): string {
    return this.#unquoted ? etag.replace(/^"(.*)"$/, "$1") : etag;
  }

  #about(request: WireRequest): About {
    const { bucket, prefix } = this.#settings;
    return { op: request.op, bucket, prefix, key: request.key, wallMs: this.clock.wallMs() };
  }

  #aboutAnswer(request: WireRequest, outcome: Outcome): About {
    const about = this.#about(request);
    return "answer" in outcome ? { ...about, clockMayMend: this.#clockMayMend(outcome) } : about;
  }

  /** A machine's clock is set, or jumps when it wakes, between two requests of a process that lives on: no reason to end what it runs. */
  #clockMayMend({ answer, sentMs }: { readonly answer: WireAnswer; readonly sentMs: number }): boolean {
    if (answer.code !== CLOCK_SKEWED) {
      this.#everFine ||= answer.status < 400 || answer.status === 404 || answer.status === 412;
      this.#skewedSinceMs = undefined;
      return false;
    }
    this.#skewedSinceMs ??= this.clock.monotonicMs();
    return this.#everFine && sentMs < this.#skewedSinceMs + CLOCK_PATIENCE_MS;
  }

  #counted<R extends { readonly kind: string }>(result: R): R {
    if (result.kind === "unavailable") this.#counts.unavailable++;
    if (result.kind === "denied") this.#counts.denied++;
    return result;
  }

  #check(key: string, options: RequestOptions, body?: Uint8Array): void {
    this.checkKey(key);
    this.#checkTimeout(options);
    if (body !== undefined && !(body instanceof Uint8Array)) throw new ConfigError(this.url, ["the body of a write must be a Uint8Array"]);
  }

  #checkTimeout(options: RequestOptions): void {
    if (options.timeoutMs === undefined || options.timeoutMs > 0) return;
    throw new ConfigError(this.url, [`timeoutMs is ${show(options.timeoutMs)}: expected milliseconds above 0`]);
  }

  #limitMs(options: RequestOptions): number {
    return Math.min(MAX_REQUEST_MS, Math.max(1, Math.ceil(options.timeoutMs ?? this.requestTimeoutMs)));
  }
}

/** Host and process, for people who read the verdict. */
function processName(): string {
  const { process } = globalThis as {
    process?: { pid?: number; getBuiltinModule?: (id: string) => { hostname?: () => string } | undefined };
  };
  return `${process?.getBuiltinModule?.("node:os")?.hostname?.() ?? "localhost"}:${process?.pid ?? 0}`;
}
