/**
 * An S3 server in this process, for development and tests: real HTTP, which the real SDK talks to, conditional requests as AWS answers them,
 * and faults on demand. Its objects are in memory. It listens on loopback unless told otherwise.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system.ts";
import { sleep } from "../../clock/wait.ts";
import { ConfigError } from "../../errors.ts";
import { aNumber, anObject, aString, type Check, checkOptions } from "../../options.ts";
import { accessTo, Bucket, type BucketAccess } from "./buckets.ts";
import { FaultRules, NO_STORE_FAULTS } from "./fault-rules.ts";
import { type CarelessMode, type Fault, type Faults, STORE_KINDS } from "./faults.ts";
import { HttpFront } from "./http-front.ts";
import { operate, type Storage } from "./operations.ts";
import { RequestLog } from "./request-log.ts";
import { type Credentials, signatureRefused } from "./signature.ts";
import { headerOf, type WireAnswer } from "./wire.ts";

export interface FakeS3Options {
  /** Default: any free one. */
  readonly port?: number | undefined;
  /** Default `127.0.0.1`. */
  readonly host?: string | undefined;
  /** Made at the start. Default `["test"]`. */
  readonly buckets?: readonly string[] | undefined;
  /** Default `us-east-1`. */
  readonly region?: string | undefined;
  /** With them, signatures (SigV4) are checked; without, every request is taken. */
  readonly credentials?: Credentials | undefined;
  /** Ways of a careless or quirky store, in force for ever. */
  readonly careless?: readonly CarelessMode[] | undefined;
  /** Largest body of a request, in bytes. Default 64 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Default 1,000. */
  readonly maxConnections?: number | undefined;
  /** How many requests the log keeps. Default 100,000. */
  readonly logLimit?: number | undefined;
  /** Seed of the generator behind `probability`. Default 1. */
  readonly seed?: number | undefined;
  /** The server's clock. Default: the machine's. */
  readonly clock?: Clock | undefined;
}

export interface FakeS3 extends AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  readonly endpoint: string;
  readonly port: number;
  /** `s3://bucket/prefix?endpoint=…&region=…`, ready for `s3Store`. Default bucket: the first. */
  url(bucket?: string, prefix?: string): string;
  readonly faults: Faults;
  readonly requests: RequestLog;
  /** A bucket as an operator sees it, without requests. Default: the first. @throws ConfigError when there is none of that name. */
  bucket(name?: string): BucketAccess;
  /** Resets every connection that is open now. */
  resetConnections(): void;
  /** Ends every request at once; nothing is executed any more. */
  close(): Promise<void>;
}

const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const buckets: Check = (v) =>
  Array.isArray(v) && v.length > 0 && v.every((b) => typeof b === "string" && BUCKET_NAME.test(b)) ? undefined : "a list of bucket names";
const careless: Check = (v) =>
  Array.isArray(v) && v.every((k) => (STORE_KINDS as readonly unknown[]).includes(k)) ? undefined : `a list of ${STORE_KINDS.join(", ")}`;

/** @throws ConfigError for a wrong option, or when it can't listen. */
export async function fakeS3(options: FakeS3Options = {}): Promise<FakeS3> {
  checkOptions("fakeS3", options, {
    port: aNumber("a port", 0, 65_535),
    host: aString("a host name or address"),
    buckets,
    region: aString("a region"),
    credentials: anObject("an object with accessKeyId and secretAccessKey"),
    careless,
    maxBodyBytes: aNumber("bytes", 1, 1_073_741_824),
    maxConnections: aNumber("a number", 1, 100_000),
    logLimit: aNumber("a number", 1, 10_000_000),
    seed: aNumber("a number", 0, Number.MAX_SAFE_INTEGER),
    clock: anObject("a Clock", "monotonicMs", "wallMs", "setTimer"),
  });
  const { host = "127.0.0.1", region = "us-east-1", clock = systemClock, credentials } = options;
  const rules = new FaultRules<Fault>("all", options.seed ?? 1);
  for (const kind of options.careless ?? []) rules.addPermanent({ kind });
  const log = new RequestLog(options.logLimit ?? 100_000, clock);
  const end = new AbortController();
  const storage = memoryStorage(region, clock, end.signal);
  const names = options.buckets ?? ["test"];
  for (const name of names) storage.makeBucket(name);
  const front = await HttpFront.listen({
    host,
    port: options.port ?? 0,
    maxBodyBytes: options.maxBodyBytes ?? 67_108_864,
    maxConnections: options.maxConnections ?? 1_000,
    clock,
    rules,
    log,
    execute: async (request, plan) =>
      (credentials === undefined ? undefined : signatureRefused(request, credentials, clock.wallMs())) ??
      operate(storage, request, plan.store),
    complete: (answer, plan) => completed(answer, plan?.store ?? NO_STORE_FAULTS, clock),
  });
  const close = async (): Promise<void> => {
    end.abort();
    await front.close();
  };
  const endpoint = `http://${host}:${front.port}`;
  const first = names[0] ?? "test";
  return {
    endpoint,
    port: front.port,
    url: (bucket = first, prefix = "") =>
      `s3://${bucket}${prefix === "" ? "" : `/${prefix}`}?endpoint=${encodeURIComponent(endpoint)}&region=${encodeURIComponent(region)}`,
    faults: rules,
    requests: log,
    bucket: (name = first) => {
      const bucket = storage.buckets.get(name);
      if (bucket === undefined)
        throw new ConfigError("bucket", [
          `there is no bucket ${JSON.stringify(name)}; there are ${[...storage.buckets.keys()].join(", ")}`,
        ]);
      return accessTo(bucket, () => clock.wallMs());
    },
    resetConnections: () => front.resetConnections(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function memoryStorage(region: string, clock: Clock, signal: AbortSignal): Storage {
  const all = new Map<string, Bucket>();
  return {
    region,
    buckets: all,
    nowMs: () => clock.wallMs(),
    pause: async (ms) => void (await sleep(clock, ms, { signal })),
    makeBucket: (name) => {
      const bucket = new Bucket(name);
      all.set(name, bucket);
      return bucket;
    },
  };
}

/** `Date` and identifiers, as every answer has them. */
function completed(answer: WireAnswer, faults: Parameters<typeof operate>[2], clock: Clock): WireAnswer {
  const shift = faults.get("wrong-date")?.fault;
  const date = clock.wallMs() + (shift?.kind === "wrong-date" ? shift.shiftMs : 0);
  const added: (readonly [string, string])[] = [["x-amz-request-id", randomBytes(8).toString("hex").toUpperCase()]];
  if (!faults.has("no-date") && headerOf(answer, "date") === undefined) added.push(["Date", new Date(date).toUTCString()]);
  return { ...answer, headers: [...added, ...answer.headers] };
}
