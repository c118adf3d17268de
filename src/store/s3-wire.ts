/**
 * The only file that knows the AWS SDK, loaded at the first request. The SDK resolves credentials and endpoints, serialises and signs; what the
 * store answered is taken from the raw response by a middleware next to the transport, because the SDK's error names differ between versions
 * and runtimes (a 304 is called `Unknown`).
 *
 * That middleware is also where rule W9 is kept: a conditional command without its condition in the headers does not leave, and rule W2: one
 * command passes once, whatever retries a client of the user has in store.
 */
import type { S3Client } from "@aws-sdk/client-s3";
import type { Clock } from "../clock/clock.ts";
import { readClocks, remainingMs } from "../clock/deadline.ts";
import { StoreUnsafeError } from "../errors.ts";
import { openPools, type Pools } from "./idle-sockets.ts";
import { destroyBody, readBody } from "./read-body.ts";
import {
  type BucketSetting,
  BrokenAnswerError,
  type ListedObject,
  SentTooLateError,
  type WireAnswer,
  type WireRequest,
} from "./s3-answer.ts";
import type { S3Settings } from "./s3-options.ts";

export interface Wire {
  /** Where the bucket is, for the verdict: the endpoint without its path, or `aws`. */
  readonly endpoint: string;
  /** True where the connections are ours, so that "never connected" can be believed. */
  readonly ownClient: boolean;
  /** Rejects where no answer came: network trouble, abort, credentials, a condition missing on the wire. */
  send(request: WireRequest, signal: AbortSignal, timeoutMs: number): Promise<WireAnswer>;
  resolveCredentials(forceRefresh: boolean): Promise<void>;
  dropStaleSockets(): void;
}

export type Sdk = typeof import("@aws-sdk/client-s3");

/** By an import, which every runtime has and every bundler sees. */
let loadSdk: (name: "@aws-sdk/client-s3") => Sdk | Promise<Sdk> = () => import("@aws-sdk/client-s3");

/** For a program that knows a faster way to the same package. From the next client on, in this copy of ours. */
export function loadSdkBy(load: typeof loadSdk): void {
  loadSdk = load;
}

/** Loads the SDK and opens the client. */
export async function connect(settings: S3Settings, clock: Clock): Promise<Wire> {
  const sdk = await loadSdk("@aws-sdk/client-s3");
  const pools = settings.client === undefined ? await openPools(clock) : undefined;
  const client = (settings.client as S3Client | undefined) ?? new sdk.S3Client(clientConfig(settings, pools));
  return {
    endpoint: await endpointOf(settings, client),
    ownClient: settings.client === undefined,
    send: (request, signal, timeoutMs) => send({ sdk, client, settings, clock }, request, signal, timeoutMs),
    resolveCredentials: (forceRefresh) => resolveCredentials(client, forceRefresh),
    dropStaleSockets: () => void pools?.dropStale(),
  };
}

type ClientConfig = NonNullable<ConstructorParameters<Sdk["S3Client"]>[0]>;

const silent = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/** Longer than any limit of ours, which end a request by its abort signal: this is the second lock on the same door. */
const TRANSPORT_TIMEOUT_MS = 31_000;
const CONNECTION_TIMEOUT_MS = 2_000;

function clientConfig(settings: S3Settings, pools: Pools | undefined): ClientConfig {
  const { endpoint, region } = settings;
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    forcePathStyle: settings.pathStyle,
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    followRegionRedirects: false,
    ...(pools === undefined
      ? {}
      : {
          requestHandler: {
            httpAgent: pools.httpAgent,
            httpsAgent: pools.httpsAgent,
            connectionTimeout: Math.min(CONNECTION_TIMEOUT_MS, settings.requestTimeoutMs),
            requestTimeout: TRANSPORT_TIMEOUT_MS,
            throwOnRequestTimeout: true,
            logger: silent,
          },
        }),
  };
}

interface CredentialsConfig {
  readonly credentials?: ((options?: { readonly forceRefresh?: boolean }) => Promise<unknown>) | undefined;
  readonly endpoint?: (() => Promise<{ readonly protocol: string; readonly hostname: string; readonly port?: number }>) | undefined;
}

async function resolveCredentials(client: S3Client, forceRefresh: boolean): Promise<void> {
  const config = client.config as CredentialsConfig | undefined;
  if (typeof config?.credentials === "function") await config.credentials(forceRefresh ? { forceRefresh } : undefined);
}

async function endpointOf(settings: S3Settings, client: S3Client): Promise<string> {
  if (settings.endpoint !== undefined) return new URL(settings.endpoint).origin;
  try {
    const custom = await (client.config as CredentialsConfig | undefined)?.endpoint?.();
    if (custom !== undefined) return `${custom.protocol}//${custom.hostname}${custom.port === undefined ? "" : `:${custom.port}`}`;
  } catch {
    // A client whose endpoint can't be told is one for AWS, as far as the verdict is concerned.
  }
  return "aws";
}

/** What the middleware saw of one command. */
interface Exchange {
  passes: number;
  status?: number;
  headers: Record<string, string>;
  errorText: string;
  /** Whether the time is over in which the request was to be sent. */
  readonly isLate: () => boolean;
}

interface RawRequest {
  readonly method?: string;
  readonly headers?: Record<string, string>;
}
interface RawResponse {
  readonly statusCode?: number;
  readonly headers?: Record<string, string>;
  body?: unknown;
}

const MAX_ERROR_BYTES = 64 * 1024;

interface Line {
  readonly sdk: Sdk;
  readonly client: S3Client;
  readonly settings: S3Settings;
  readonly clock: Clock;
}

async function send(
  { sdk, client, settings, clock }: Line,
  request: WireRequest,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<WireAnswer> {
  const { sendBy } = request;
  const isLate = (): boolean => sendBy !== undefined && remainingMs(sendBy, readClocks(clock)) <= 0;
  const exchange: Exchange = { passes: 0, headers: {}, errorText: "", isLate };
  const command = commandFor(sdk, settings, request);
  watchWire(command.middlewareStack as Stack, settings, request, exchange);
  let output: Output = {};
  try {
    const options = { abortSignal: signal, requestTimeout: timeoutMs + 250 };
    output = (await abortable(signal, client.send(command as never, options as never) as Promise<Output>)) ?? {};
  } catch (error) {
    // An answer that the SDK could not read is an answer all the same; only a listing needs the SDK to read it.
    if (exchange.status === undefined || signal.aborted || ((request.op === "list" || request.op === "setting") && exchange.status < 300))
      throw error;
    if (request.op === "get" && exchange.status < 300) throw new BrokenAnswerError("the answer could not be read", { cause: error });
  }
  if (exchange.status === undefined) throw unseen(request);
  const { status, headers } = exchange;
  if (status >= 300) return { status, headers, ...parseError(exchange) };
  if (request.op === "get") return { status, headers, ...(await objectOf(output, headers, request, signal)) };
  if (request.op === "setting") return { status, headers, value: output };
  return { status, headers, ...(request.op === "list" ? { listing: listingOf(output) } : {}) };
}

/** A client that does not run the middleware of its commands can't be seen to send conditions. */
function unseen(request: WireRequest): StoreUnsafeError {
  return new StoreUnsafeError(
    `the S3 client answered a ${request.op} without running the command's middleware, so nobody can see whether conditions reach the store; ` +
      "pass a real S3Client of @aws-sdk/client-s3",
    { step: "condition-not-on-the-wire" },
  );
}

interface Stack {
  add(
    middleware: (
      next: (args: { request: unknown }) => Promise<{ response: unknown }>,
    ) => (args: { request: unknown }) => Promise<{ response: unknown }>,
    options: object,
  ): void;
}

function watchWire(stack: Stack, settings: S3Settings, request: WireRequest, exchange: Exchange): void {
  // One attempt (rule W2), also on a client of the user: a retry after a lost reply comes back as 412 for one's own write. The name is the
  // SDK's own; if it ever changes, `passes` below still holds.
  stack.add((next) => (args) => next(args), { name: "retryMiddleware", step: "finalizeRequest", priority: "high", override: true });
  if (
    /(?:^|\.)(?:tigris\.dev|t3\.storage\.dev|fly\.storage\.tigris\.dev)$/.test(
      settings.endpoint === undefined ? "" : new URL(settings.endpoint).hostname,
    )
  ) {
    // Tigris reads are eventual across regions unless asked.
    stack.add(
      (next) => (args) => {
        const headers = (args.request as RawRequest).headers;
        if (headers !== undefined) headers["x-tigris-consistent"] = "true";
        return next(args);
      },
      { name: "s3ConsensusTigris", step: "build" },
    );
  }
  stack.add(
    (next) => async (args) => {
      const raw = args.request as RawRequest;
      // Not for bodies of a few KiB: the server would wait with the key locked while the body waits for a "continue" (rule W8).
      for (const name of Object.keys(raw.headers ?? {})) if (name.toLowerCase() === "expect") delete raw.headers?.[name];
      checkCondition(raw, request);
      // It is signed: however long this process is stopped from here on, the store takes it for half an hour at most.
      if (exchange.isLate()) throw new SentTooLateError(`the ${request.op} was to be sent earlier, and was not sent`);
      if (exchange.passes++ > 0) throw new Error("a second attempt of one command was stopped: this package counts its own");
      const result = await next(args);
      const response = result.response as RawResponse;
      exchange.status = response.statusCode ?? 0;
      exchange.headers = lowerCased(response.headers ?? {});
      if (exchange.status >= 300 || request.op === "put" || request.op === "delete") {
        // Read here, because not every version of the SDK notices a body that ends too early. It gets the bytes to read in its turn.
        const { bytes } = await readBody(response.body, MAX_ERROR_BYTES);
        if (exchange.status >= 300) exchange.errorText = new TextDecoder().decode(bytes);
        response.body = bytes;
      }
      return result;
    },
    { name: "s3ConsensusWire", step: "deserialize", priority: "low" },
  );
}

/** Rule W9: the condition must be on the wire. An SDK from before the feature drops it without a word. */
function checkCondition(raw: RawRequest, request: WireRequest): void {
  if (request.op !== "put") return;
  const headers = lowerCased(raw.headers ?? {});
  const name = request.ifMatch === undefined ? "if-none-match" : "if-match";
  const wanted = request.ifMatch ?? request.ifNoneMatch;
  if (wanted !== undefined && wanted !== "" && headers[name] === wanted && raw.method?.toUpperCase() === "PUT") return;
  throw new StoreUnsafeError(
    `a conditional PUT was about to leave without its ${name} header and was stopped: the installed @aws-sdk/client-s3 drops it. ` +
      "Install @aws-sdk/client-s3 3.700 or newer (and look for middleware that removes headers)",
    { step: "condition-not-on-the-wire" },
  );
}

function lowerCased(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function commandFor(sdk: Sdk, settings: S3Settings, r: WireRequest): { readonly middlewareStack: unknown } {
  const common = {
    Bucket: settings.bucket,
    ...(settings.requesterPays ? { RequestPayer: "requester" as const } : {}),
    ...(settings.expectedBucketOwner === undefined ? {} : { ExpectedBucketOwner: settings.expectedBucketOwner }),
  };
  switch (r.op) {
    case "get":
      return new sdk.GetObjectCommand({
        ...common,
        Key: r.key,
        ...(r.ifNoneMatch === undefined ? {} : { IfNoneMatch: r.ifNoneMatch }),
        ...(r.versionId === undefined ? {} : { VersionId: r.versionId }),
      });
    case "put":
      return new sdk.PutObjectCommand({
        ...common,
        Key: r.key,
        // In one piece and with its length: a server may hold the key's lock while it waits for the rest (rule W8).
        Body: r.body ?? new Uint8Array(),
        ContentLength: r.body?.byteLength ?? 0,
        ContentType: "application/json",
        ...(r.ifMatch === undefined ? {} : { IfMatch: r.ifMatch }),
        ...(r.ifNoneMatch === undefined ? {} : { IfNoneMatch: r.ifNoneMatch }),
      });
    case "delete":
      return new sdk.DeleteObjectCommand({ ...common, Key: r.key, ...(r.ifMatch === undefined ? {} : { IfMatch: r.ifMatch }) });
    case "setting":
      return settingCommand(sdk, settings, r.setting);
    case "list":
      if (r.versions === true)
        return new sdk.ListObjectVersionsCommand({ ...common, Prefix: r.key, ...(r.limit === undefined ? {} : { MaxKeys: r.limit }) });
      return new sdk.ListObjectsV2Command({
        ...common,
        Prefix: r.key,
        ...(r.after === undefined ? {} : { StartAfter: r.after }),
        ...(r.limit === undefined ? {} : { MaxKeys: r.limit }),
      });
  }
}

function settingCommand(sdk: Sdk, settings: S3Settings, setting: BucketSetting | undefined): { readonly middlewareStack: unknown } {
  const owner = settings.expectedBucketOwner === undefined ? {} : { ExpectedBucketOwner: settings.expectedBucketOwner };
  const bucket = { Bucket: settings.bucket, ...owner };
  if (setting === "lifecycle") return new sdk.GetBucketLifecycleConfigurationCommand(bucket);
  return setting === "object-lock" ? new sdk.GetObjectLockConfigurationCommand(bucket) : new sdk.GetBucketVersioningCommand(bucket);
}

interface OutputObject {
  readonly Key?: string;
  readonly ETag?: string;
  readonly Size?: number;
  readonly LastModified?: { getTime(): number };
  readonly VersionId?: string;
  readonly IsLatest?: boolean;
}

interface Output {
  readonly Body?: unknown;
  readonly IsTruncated?: boolean | undefined;
  readonly Contents?: readonly OutputObject[] | undefined;
  readonly Versions?: readonly OutputObject[] | undefined;
  readonly DeleteMarkers?: readonly OutputObject[] | undefined;
}

async function objectOf(
  output: Output,
  headers: Readonly<Record<string, string>>,
  request: WireRequest,
  signal: AbortSignal,
): Promise<{ readonly body?: Uint8Array; readonly tooLarge?: boolean }> {
  const maxBytes = request.maxBytes ?? Number.POSITIVE_INFINITY;
  const promised = headers["content-encoding"] === undefined ? Number(headers["content-length"] ?? Number.NaN) : Number.NaN;
  if (promised > maxBytes) {
    destroyBody(output.Body);
    return { tooLarge: true };
  }
  const stop = (): void => destroyBody(output.Body);
  signal.addEventListener("abort", stop, { once: true });
  try {
    const { bytes, end } = await abortable(signal, readBody(output.Body, maxBytes));
    if (end === "too-large") return { tooLarge: true };
    if (end === "broken" || (Number.isFinite(promised) && bytes.byteLength !== promised)) {
      throw new BrokenAnswerError(`the answer stopped after ${bytes.byteLength} of ${headers["content-length"] ?? "?"} bytes`);
    }
    return { body: bytes };
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function listingOf(output: Output): WireAnswer["listing"] {
  const listed = (o: OutputObject): ListedObject => ({
    key: o.Key ?? "",
    etag: o.ETag ?? "",
    size: o.Size ?? 0,
    lastModifiedMs: o.LastModified?.getTime(),
    ...(o.VersionId === undefined ? {} : { versionId: o.VersionId, isLatest: o.IsLatest === true }),
  });
  const objects = [
    ...(output.Contents ?? output.Versions ?? []).map(listed),
    ...(output.DeleteMarkers ?? []).map((o) => ({ ...listed(o), isDeletion: true })),
  ];
  return { objects, truncated: output.IsTruncated === true };
}

function parseError(exchange: Exchange): Pick<WireAnswer, "code" | "message" | "region"> {
  const text = exchange.errorText;
  const element = (name: string): string | undefined => new RegExp(`<${name}>([^<]{1,1024})</${name}>`).exec(text)?.[1]?.trim();
  // Only what is an S3 error document is believed: a proxy's page may say anything.
  if (!/<Error\b/.test(text)) return { region: exchange.headers["x-amz-bucket-region"] };
  return { code: element("Code"), message: element("Message"), region: exchange.headers["x-amz-bucket-region"] ?? element("Region") };
}

/** The promise, or the signal's reason as soon as it aborts: credentials and half-open sockets do not all listen to a signal. */
function abortable<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      // Whatever comes now comes too late; its body must not hold a socket.
      promise.then((late) => destroyBody((late as Output | undefined)?.Body)).catch(() => {});
      reject(signal.reason as Error);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
