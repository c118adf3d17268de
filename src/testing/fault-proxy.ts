/**
 * An HTTP proxy in front of a real S3 server, to lose, delay, repeat or forge what passes. It buffers whole requests, so that one can be carried
 * out after its client gave up, and hands the `Host` header on byte for byte, so that signatures stay valid.
 */
import { Agent, type IncomingMessage, request as httpRequest } from "node:http";
import { systemClock } from "../clock/system.ts";
import { aFunction, aNumber, checkOptions, required } from "../options.ts";
import { FaultRules } from "./s3-server/fault-rules.ts";
import type { Fault, Faults, NetworkFault } from "./s3-server/faults.ts";
import { HttpFront } from "./s3-server/http-front.ts";
import { RequestLog } from "./s3-server/request-log.ts";
import { storeUrl } from "./s3-server/store-url.ts";
import type { WireAnswer, WireRequest } from "./s3-server/wire.ts";

export interface FaultProxyOptions {
  /** The server behind it, as `http://127.0.0.1:9000`. */
  readonly target: string;
  /** Default: any free one. */
  readonly port?: number | undefined;
  /** Seed of the generator behind `probability`. Default 1. */
  readonly seed?: number | undefined;
  /** How many requests the log keeps. Default 100,000. */
  readonly logLimit?: number | undefined;
  /**
   * Told each time that a request is handed on to the server: before the first byte, so a request that comes twice is told twice. The function that
   * it may return is told the server's answer, `undefined` where there was none.
   */
  readonly onForward?: ((request: WireRequest) => ((answer: WireAnswer | undefined) => void) | undefined) | undefined;
}

export interface FaultProxy extends AsyncDisposable {
  /** `http://127.0.0.1:port`, to be used instead of the server's. */
  readonly endpoint: string;
  readonly port: number;
  readonly faults: Faults<NetworkFault>;
  readonly requests: RequestLog;
  /** `s3://bucket/prefix?endpoint=…&region=…`, ready for `s3Store`. Default region: us-east-1. */
  url(bucket: string, prefix?: string, region?: string): string;
  /** Resets every connection that is open now. */
  resetConnections(): void;
  /** Ends every request at once; what is held back is never carried out. */
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 67_108_864;
const MAX_CONNECTIONS = 2_000;
const IDLE_MS = 3_000;

/** @throws ConfigError for a wrong option. */
export async function faultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  checkOptions("faultProxy", options, {
    target: required((v) =>
      typeof v === "string" && URL.canParse(v) && v.startsWith("http://") ? undefined : "the http:// address of a server",
    ),
    port: aNumber("a port", 0, 65_535),
    seed: aNumber("a number", 0, Number.MAX_SAFE_INTEGER),
    logLimit: aNumber("a number", 1, 10_000_000),
    onForward: aFunction,
  });
  const target = new URL(options.target);
  // Idle connections are given up long before any server does it: a request that met one that is just being closed would be a fault that nobody asked for.
  const agent = new Agent({ keepAlive: true, maxSockets: 500, timeout: IDLE_MS });
  const rules = new FaultRules<Fault>("network", options.seed ?? 1);
  const log = new RequestLog(options.logLimit ?? 100_000, systemClock);
  const front = await HttpFront.listen({
    host: "127.0.0.1",
    port: options.port ?? 0,
    maxBodyBytes: MAX_BODY_BYTES,
    maxConnections: MAX_CONNECTIONS,
    clock: systemClock,
    rules,
    log,
    execute: async (request, _plan, signal) => {
      const onAnswer = options.onForward?.(request);
      const answer = await forward(target, agent, request, signal);
      onAnswer?.(answer);
      return answer;
    },
    complete: (answer) => answer,
  });
  const close = async (): Promise<void> => {
    await front.close();
    agent.destroy();
  };
  const endpoint = `http://127.0.0.1:${front.port}`;
  return {
    endpoint,
    port: front.port,
    faults: rules,
    requests: log,
    url: (bucket, prefix = "", region = "us-east-1") => storeUrl(endpoint, bucket, prefix, region),
    resetConnections: () => front.resetConnections(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** `undefined`: the server gave no whole answer, or one too large, or `signal` aborted. */
function forward(target: URL, agent: Agent, request: WireRequest, signal: AbortSignal): Promise<WireAnswer | undefined> {
  return new Promise((resolve) => {
    const outgoing = httpRequest(
      {
        host: target.hostname.replace(/^\[|\]$/g, ""),
        port: target.port || 80,
        agent,
        method: request.method,
        path: request.target,
        // As they came, with one length for the body that was read: "Host" is signed, and hop-by-hop headers are this connection's own.
        headers: endToEnd(request.rawHeaders, request.body.length),
        setHost: false,
        signal,
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        let size = 0;
        incoming.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size <= MAX_BODY_BYTES) chunks.push(chunk);
          else outgoing.destroy();
        });
        incoming.on("error", () => resolve(undefined));
        incoming.on("close", () => resolve(undefined));
        incoming.on("end", () =>
          resolve({
            status: incoming.statusCode ?? 502,
            statusText: incoming.statusMessage,
            headers: answerHeaders(request.method, incoming),
            body: Buffer.concat(chunks),
          }),
        );
      },
    );
    outgoing.on("error", () => resolve(undefined));
    outgoing.end(request.body);
  });
}

/** The length of an answer is that of the body that was read; but an answer to HEAD has none, and tells the object's length all the same. */
function answerHeaders(method: string, incoming: IncomingMessage): (readonly [string, string])[] {
  const length = incoming.headers["content-length"];
  const headers = pairs(incoming.rawHeaders);
  return method === "HEAD" && length !== undefined ? [...headers, ["Content-Length", length]] : headers;
}

const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "te",
  "trailer",
  "upgrade",
  "proxy-connection",
  "expect",
  "content-length",
]);

function endToEnd(rawHeaders: readonly string[], length: number): string[] {
  return [
    ...pairs(rawHeaders).flat(),
    ...(length > 0 || rawHeaders.some((h) => h.toLowerCase() === "content-length") ? ["Content-Length", String(length)] : []),
  ];
}

/** Name and value, without what belongs to one connection. */
function pairs(rawHeaders: readonly string[]): (readonly [string, string])[] {
  const list: (readonly [string, string])[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? "";
    if (!HOP_BY_HOP.has(name.toLowerCase())) list.push([name, rawHeaders[i + 1] ?? ""]);
  }
  return list;
}
