/**
 * An S3 server in this process, for development and tests: real HTTP, which the real SDK talks to, conditional requests as AWS answers them,
 * and faults on demand. Its objects are in memory. It listens on loopback unless told otherwise.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system.ts";
import { ConfigError } from "../../errors.ts";
import { aNumber, anObject, aString, type Check, checkOptions } from "../../options.ts";
import { accessTo, type BucketAccess } from "./buckets.ts";
import { FaultRules, NO_STORE_FAULTS, type StoreFaults, storeFaultFaults } from "./fault-rules.ts";
import { Folder } from "./folder.ts";
import type { CarelessMode, Fault, Faults, StoreFault } from "./faults.ts";
import { HttpFront } from "./http-front.ts";
import { httpDate } from "./object-operations.ts";
import { RequestLog } from "./request-log.ts";
import type { Credentials } from "./sigv4.ts";
import { isBucketName, S3Store } from "./store.ts";
import { storeUrl } from "./store-url.ts";
import type { WireAnswer } from "./wire.ts";

export interface FakeS3Options {
  /** Default: any free one. */
  readonly port?: number | undefined;
  /** Default `127.0.0.1`. */
  readonly host?: string | undefined;
  /** Made at the start. Default `["test"]`. */
  readonly buckets?: readonly string[] | undefined;
  /** Keeps the objects in this folder, and finds them again. Default: in memory alone. */
  readonly dir?: string | undefined;
  /** Default `us-east-1`. */
  readonly region?: string | undefined;
  /** With them, signatures (SigV4) are checked; without, every request is taken. */
  readonly credentials?: Credentials | undefined;
  /** Ways of a careless or quirky store, in force for ever: the kind alone, or a fault that also says for which requests. */
  readonly careless?: readonly (CarelessMode | StoreFault)[] | undefined;
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

const buckets: Check = (v) =>
  Array.isArray(v) && v.length > 0 && v.every((b) => typeof b === "string" && isBucketName(b)) ? undefined : "a list of bucket names";
const careless: Check = (v) => {
  if (!Array.isArray(v)) return "a list of the ways of a store";
  const wrong = v.flatMap((mode: unknown) => storeFaultFaults(typeof mode === "string" ? { kind: mode } : mode));
  return wrong.length === 0 ? undefined : `the ways of a store (${wrong.join("; ")})`;
};

function isCredentials(v: unknown): boolean {
  if (typeof v !== "object" || v === null) return false;
  return ["accessKeyId", "secretAccessKey"].every((name) => typeof Reflect.get(v, name) === "string" && Reflect.get(v, name) !== "");
}

/** @throws ConfigError for a wrong option, or when it can't listen. */
export async function fakeS3(options: FakeS3Options = {}): Promise<FakeS3> {
  checkOptions("fakeS3", options, {
    port: aNumber("a port", 0, 65_535),
    host: aString("a host name or address"),
    buckets,
    dir: aString("the path of a folder", (path) => path !== ""),
    region: aString("a region"),
    credentials: (v) => (isCredentials(v) ? undefined : "an object with the texts accessKeyId and secretAccessKey"),
    careless,
    maxBodyBytes: aNumber("bytes", 1, 1_073_741_824),
    maxConnections: aNumber("a number", 1, 100_000),
    logLimit: aNumber("a number", 1, 10_000_000),
    seed: aNumber("a number", 0, Number.MAX_SAFE_INTEGER),
    clock: anObject("a Clock", "monotonicMs", "wallMs", "setTimer"),
  });
  const { host = "127.0.0.1", region = "us-east-1", clock = systemClock, credentials } = options;
  const rules = new FaultRules<Fault>("all", options.seed ?? 1);
  for (const mode of options.careless ?? []) rules.addPermanent(typeof mode === "string" ? { kind: mode } : mode);
  const log = new RequestLog(options.logLimit ?? 100_000, clock);
  const folder = options.dir === undefined ? undefined : new Folder(options.dir);
  const store = new S3Store({ credentials, region, clock, folder });
  const names = options.buckets ?? ["test"];
  for (const name of new Set([...names, ...(folder?.bucketNames() ?? [])])) store.buckets.set(name, store.newBucket(name));
  const front = await HttpFront.listen({
    host,
    port: options.port ?? 0,
    maxBodyBytes: options.maxBodyBytes ?? 67_108_864,
    maxConnections: options.maxConnections ?? 1_000,
    clock,
    rules,
    log,
    execute: (request, plan, signal) => store.execute(request, plan, signal),
    complete: (answer, plan) => completed(answer, plan?.store ?? NO_STORE_FAULTS, clock),
  });
  const close = (): Promise<void> => front.close();
  const endpoint = `http://${host.includes(":") ? `[${host}]` : host}:${front.port}`;
  const first = names[0] ?? "test";
  return {
    endpoint,
    port: front.port,
    url: (bucket = first, prefix = "") => storeUrl(endpoint, bucket, prefix, region),
    faults: rules,
    requests: log,
    bucket: (name = first) => {
      const bucket = store.buckets.get(name);
      if (bucket === undefined)
        throw new ConfigError("bucket", [`there is no bucket ${JSON.stringify(name)}; there are ${[...store.buckets.keys()].join(", ")}`]);
      return accessTo(bucket, () => clock.wallMs());
    },
    resetConnections: () => front.resetConnections(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** `Date` and identifiers, as every answer has them. */
function completed(answer: WireAnswer, faults: StoreFaults, clock: Clock): WireAnswer {
  const shift = faults.get("wrong-date")?.fault;
  const date = clock.wallMs() + (shift?.kind === "wrong-date" ? shift.shiftMs : 0);
  const added: (readonly [string, string])[] = [["x-amz-request-id", randomBytes(8).toString("hex").toUpperCase()]];
  if (!faults.has("no-date")) added.push(["Date", httpDate(date)]);
  return { ...answer, headers: [...added, ...answer.headers] };
}
