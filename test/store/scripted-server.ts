/** An HTTP server that answers exactly what a test says, byte for byte: for answers that no real store gives on demand. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Readable } from "node:stream";
import { whenFinished } from "../support/finish.ts";

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
  /** Which connection it came on, counted from 1. */
  readonly connection: number;
  /** Set when the connection ended before the answer was sent. */
  aborted: boolean;
}

export type Scripted =
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string | Uint8Array }
  /** Closes the connection without a word. */
  | "reset"
  /** Never answers. */
  | "hang"
  /** Promises 1,000 bytes, sends 10, closes. */
  | "half"
  /** Promises 1,000 bytes, sends 10, and nothing more. */
  | "stall";

export type Script = (seen: Seen, index: number) => Scripted | Promise<Scripted>;

export interface ScriptedServer {
  readonly endpoint: string;
  readonly seen: Seen[];
  script: Script;
  /** Connections opened so far. */
  readonly connections: number;
  /** Bytes written to all connections so far. */
  bytesWritten(): number;
}

export const DATE = "Sat, 21 Nov 2026 10:00:05 GMT";
export const MODIFIED = "Sat, 21 Nov 2026 10:00:00 GMT";
export const ETAG = '"0123456789abcdef0123456789abcdef"';

export function s3Error(code: string, message = "because", more = ""): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message>${more}<RequestId>R1</RequestId></Error>`;
}

export async function scriptedServer(script: Script = () => ({ status: 200, headers: { etag: ETAG } })): Promise<ScriptedServer> {
  const seen: Seen[] = [];
  const sockets = new Map<Socket, number>();
  let connections = 0;
  let written = 0;
  const server = createServer((request, response) => {
    void collect(request).then(async (body) => {
      const entry: Seen = {
        method: request.method ?? "",
        path: request.url ?? "",
        headers: request.headers,
        rawHeaders: request.rawHeaders,
        body,
        connection: sockets.get(request.socket) ?? 0,
        aborted: false,
      };
      let finished = false;
      response.once("finish", () => {
        finished = true;
      });
      response.once("close", () => {
        entry.aborted = !finished;
      });
      seen.push(entry);
      answer(await state.script(entry, seen.length - 1), request, response);
    });
  });
  server.keepAliveTimeout = 60_000;
  server.on("connection", (socket: Socket) => {
    sockets.set(socket, ++connections);
    socket.on("error", () => {});
    socket.once("close", () => {
      written += socket.bytesWritten;
      sockets.delete(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  whenFinished(async () => {
    for (const socket of sockets.keys()) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const state = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    script,
    get connections() {
      return connections;
    },
    bytesWritten: () => [...sockets.keys()].reduce((sum, socket) => sum + socket.bytesWritten, written),
  };
  return state;
}

function answer(scripted: Scripted, request: IncomingMessage, response: ServerResponse): void {
  if (scripted === "hang") return;
  if (scripted === "reset") return void request.socket.destroy();
  if (scripted === "half" || scripted === "stall") {
    response.writeHead(200, { date: DATE, etag: ETAG, "content-length": "1000", "last-modified": MODIFIED });
    response.write("0123456789", () => {
      if (scripted === "half") request.socket.destroy();
    });
    return;
  }
  const headers: Record<string, string> = { date: DATE, "x-amz-request-id": "R1", ...scripted.headers };
  for (const [name, value] of Object.entries(headers)) if (value === "") delete headers[name];
  response.sendDate = headers["date"] !== undefined;
  response.writeHead(scripted.status, headers);
  if (scripted.body instanceof Uint8Array) Readable.from(pieces(scripted.body)).pipe(response);
  else response.end(scripted.body);
}

/** No faster than they are read, so that `bytesWritten` says what really went out. */
function* pieces(body: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < body.byteLength; at += 65_536) yield body.subarray(at, at + 65_536);
}

async function collect(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
