/**
 * A stand-in for AWS Lambda: the Runtime API over HTTP, and a process that is stopped (SIGSTOP) whenever it has no invocation, as the real one
 * freezes its sandbox. One environment; the next invocation after a crash starts a fresh process.
 */
import { randomUUID } from "node:crypto";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { whenFinished } from "./finish.ts";
import { freeze } from "./freeze.ts";
import { type Program, spawnProgram } from "./programs.ts";

interface Invocation {
  readonly id: string;
  readonly event: object;
  readonly timeoutMs: number;
  settle(answer: unknown): void;
}

export interface Lambda {
  /** What the function answered; `undefined` where its process ended in the middle. */
  invoke(event: object, timeoutMs: number): Promise<unknown>;
  /** Every process that it had. */
  readonly processes: readonly Program[];
}

export async function lambda(program: string, env: Readonly<Record<string, string | undefined>>): Promise<Lambda> {
  const processes: Program[] = [];
  let asking: ServerResponse | undefined;
  let pending: Invocation | undefined;
  let alive = false;
  let finished = false;
  const give = (): void => {
    if (asking === undefined || pending === undefined) return;
    const { id, event, timeoutMs } = pending;
    const deadlineMs = performance.timeOrigin + performance.now() + timeoutMs;
    asking.writeHead(200, { "lambda-runtime-aws-request-id": id, "lambda-runtime-deadline-ms": String(deadlineMs) });
    asking.end(JSON.stringify(event));
    asking = undefined;
  };
  const server: Server = createServer((request, response) => {
    if (request.url?.endsWith("/next") === true) {
      asking = response;
      const current = processes.at(-1);
      // Idle: nothing of it runs until the next invocation.
      if (pending === undefined && current !== undefined && current.ended === undefined && !finished) freeze(current.pid);
      else give();
      return;
    }
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      response.writeHead(202).end();
      pending?.settle(JSON.parse(body));
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  whenFinished(() => {
    finished = true;
    server.close();
  });
  const api = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const start = (): void => {
    alive = true;
    const child = spawnProgram(program, { env: { ...env, AWS_LAMBDA_RUNTIME_API: api } });
    processes.push(child);
    void child.exit.then(() => {
      alive = false;
      asking = undefined;
      pending?.settle(undefined);
    });
  };
  return {
    processes,
    invoke: (event, timeoutMs) =>
      new Promise((resolve) => {
        const settle = (answer: unknown): void => {
          pending = undefined;
          resolve(answer);
        };
        pending = { id: randomUUID(), event, timeoutMs, settle };
        if (!alive) return start();
        process.kill(processes.at(-1)?.pid ?? 0, "SIGCONT");
        give();
      }),
  };
}
