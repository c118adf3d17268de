/** The HTTP side that the embedded server and the proxy share: whole requests in, answers or broken connections out, limits, and a clean end. */
import { setMaxListeners } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Clock } from "../../clock/clock.ts";
import { ConfigError, messageOf } from "../../errors.ts";
import { carryOut, type Client } from "./carry-out.ts";
import type { FaultRules, Plan } from "./fault-rules.ts";
import type { Fault } from "./faults.ts";
import type { LogEntry, RequestLog } from "./request-log.ts";
import { BadTargetError, NO_BODY, parseRequest, withoutHeaders, type WireAnswer, type WireRequest } from "./wire.ts";
import { errorAnswer } from "./xml.ts";

export interface FrontOptions {
  readonly host: string;
  readonly port: number;
  readonly maxBodyBytes: number;
  readonly maxConnections: number;
  readonly clock: Clock;
  readonly rules: FaultRules<Fault>;
  readonly log: RequestLog;
  /** Carries a request out, once; hurries to an end when `signal` aborts. `undefined`: there was no answer. */
  readonly execute: (request: WireRequest, plan: Plan, signal: AbortSignal) => Promise<WireAnswer | undefined>;
  /** Finishes every answer before it is sent: `Date` and identifiers. */
  readonly complete: (answer: WireAnswer, plan: Plan | undefined) => WireAnswer;
}

class BodyTooLargeError extends Error {
  override readonly name = "BodyTooLargeError";
}

export class HttpFront {
  readonly #options: FrontOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #running = new Set<Promise<void>>();
  readonly #end = new AbortController();
  #closed: Promise<void> | undefined;

  private constructor(options: FrontOptions) {
    this.#options = options;
    // Every request that is held back listens to it; that is no leak.
    setMaxListeners(0, this.#end.signal);
    // Longer than any client keeps a connection idle, so that no request meets a connection that the server is just closing.
    this.#server = createServer({ keepAliveTimeout: 120_000 }, (message, response) => this.#accept(message, response));
    this.#server.maxConnections = options.maxConnections;
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  static async listen(options: FrontOptions): Promise<HttpFront> {
    const front = new HttpFront(options);
    await new Promise<void>((resolve, reject) => {
      front.#server.once("error", (cause) =>
        reject(new ConfigError("listen", [`host ${options.host}, port ${options.port}: ${messageOf(cause)}`], { cause })),
      );
      front.#server.listen(options.port, options.host, resolve);
    });
    return front;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Resets every connection that is open now. */
  resetConnections(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Ends every request at once, executes nothing any more, and resolves when nothing is left. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#end.abort();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([closed, ...this.#running]);
  }

  #accept(message: IncomingMessage, response: ServerResponse): void {
    const work = this.#serve(message, response);
    this.#running.add(work);
    void work.finally(() => this.#running.delete(work));
  }

  /** Never rejects. */
  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { rules, log, clock, execute } = this.#options;
    response.sendDate = false;
    let plan: Plan | undefined;
    let client = new HttpClient(response, (answer) => this.#options.complete(answer, plan));
    try {
      const body = await readBody(message, this.#options.maxBodyBytes);
      if (body === undefined) return;
      const request = parseRequest(message, body);
      const entry = log.add(request);
      client = new HttpClient(response, (answer) => this.#options.complete(answer, plan), entry);
      const chosen = rules.plan(request);
      plan = chosen;
      entry.faults = chosen.kinds;
      const passed = withoutHeaders(request, chosen.strippedHeaders);
      await carryOut({
        request,
        plan: chosen,
        client,
        rules,
        clock,
        signal: this.#end.signal,
        execute: () => executed(entry, () => execute(passed, chosen, this.#end.signal)),
      });
    } catch (e) {
      client.send(failure(e));
      if (e instanceof BodyTooLargeError) response.once("close", () => message.destroy());
    }
  }
}

async function executed(entry: LogEntry, execute: () => Promise<WireAnswer | undefined>): Promise<WireAnswer | undefined> {
  const startedNs = process.hrtime.bigint();
  const answer = await execute();
  entry.executions.push({ status: answer?.status, startedNs, endedNs: process.hrtime.bigint() });
  return answer;
}

function failure(e: unknown): WireAnswer {
  if (e instanceof BadTargetError) return errorAnswer({ status: 400, code: "InvalidURI", message: "Couldn't parse the specified URI." });
  if (e instanceof BodyTooLargeError) {
    const headers = [["Connection", "close"]] as const;
    return errorAnswer({ status: 400, code: "EntityTooLarge", message: e.message, headers });
  }
  return errorAnswer({ status: 500, code: "InternalError", message: `the server itself failed: ${messageOf(e)}` });
}

/** The whole body, or `undefined` when the client went away before it was sent. */
async function readBody(message: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
  const tooLarge = (): BodyTooLargeError =>
    new BodyTooLargeError(`Your proposed upload exceeds the maximum allowed size of ${maxBytes} bytes`);
  if (Number(message.headers["content-length"] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    message.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) {
        message.pause();
        reject(tooLarge());
      } else chunks.push(chunk);
    });
    message.once("end", () => resolve(chunks.length === 0 ? NO_BODY : Buffer.concat(chunks)));
    message.once("close", () => resolve(undefined));
    message.once("error", () => resolve(undefined));
  });
}

/** The client's end of one HTTP request. */
class HttpClient implements Client {
  readonly #response: ServerResponse;
  readonly #complete: (answer: WireAnswer) => WireAnswer;
  readonly #entry: LogEntry | undefined;

  constructor(response: ServerResponse, complete: (answer: WireAnswer) => WireAnswer, entry?: LogEntry) {
    this.#response = response;
    this.#complete = complete;
    this.#entry = entry;
    if (entry !== undefined) response.once("close", () => entry.end("gone", undefined));
  }

  send(answer: WireAnswer): void {
    const whole = this.#head(answer);
    if (whole === undefined) return;
    this.#entry?.end("answered", whole.status);
    this.#response.end(this.#bodyOf(whole));
  }

  sendHalf(answer: WireAnswer): void {
    const body = this.#bodyOf(answer);
    if (body.length === 0) return this.#sendHalfHead(answer);
    const whole = this.#head(answer);
    if (whole === undefined) return;
    this.#entry?.end("cut", whole.status);
    const { socket } = this.#response;
    // Destroyed only when the half has left, or the client might see none of it.
    this.#response.write(body.subarray(0, Math.floor(body.length / 2)), () => socket?.destroySoon());
  }

  reset(): void {
    if (this.#isOver()) return;
    this.#entry?.end("reset", undefined);
    this.#response.socket?.resetAndDestroy();
  }

  #isOver(): boolean {
    return this.#response.headersSent || this.#response.destroyed || this.#response.socket === null;
  }

  #bodyOf(answer: WireAnswer): Buffer {
    return this.#response.req.method === "HEAD" || answer.status === 304 || answer.status === 204 ? NO_BODY : answer.body;
  }

  #head(answer: WireAnswer): WireAnswer | undefined {
    if (this.#isOver()) return undefined;
    const whole = this.#complete(answer);
    const headers = whole.headers.flat();
    const hasLength = whole.headers.some(([name]) => name.toLowerCase() === "content-length");
    if (!hasLength && whole.status !== 304 && whole.status !== 204) headers.push("Content-Length", String(this.#bodyOf(whole).length));
    if (whole.statusText === undefined) this.#response.writeHead(whole.status, headers);
    else this.#response.writeHead(whole.status, whole.statusText, headers);
    return whole;
  }

  /** An answer without a body is cut in the middle of its head. */
  #sendHalfHead(answer: WireAnswer): void {
    if (this.#isOver()) return;
    const whole = this.#complete(answer);
    const head = `HTTP/1.1 ${whole.status} ${whole.statusText ?? ""}\r\n${whole.headers.map(([n, v]) => `${n}: ${v}\r\n`).join("")}\r\n`;
    this.#entry?.end("cut", whole.status);
    const { socket } = this.#response;
    socket?.write(head.slice(0, Math.floor(head.length / 2)), () => socket.destroySoon());
  }
}
