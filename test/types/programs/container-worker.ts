/** A worker in a container: it leads, or waits; a liveness probe, a metric and the shutdown of the platform beside it. */
import { createServer } from "node:http";
import { type AnyConsensusError, type ConsensusEvent, ConsensusError, type Health, Manager, type Term } from "s3-consensus";
import { shutdownSignal } from "s3-consensus/node";

interface Queue {
  next(signal: AbortSignal): Promise<{ readonly id: string } | undefined>;
  done(id: string, fencingToken: number): Promise<void>;
}

type Published = { readonly url: string; readonly version: number };

async function work(queue: Queue, term: Term): Promise<void> {
  while (!term.signal.aborted) {
    const job = await queue.next(term.signal);
    if (job === undefined) continue;
    term.assertHeld();
    await queue.done(job.id, term.fencingToken);
  }
}

/** The compiler knows when a case is missing. */
export function exitStatus(error: AnyConsensusError): number {
  switch (error.code) {
    case "CONFIG":
      return error.faults.length;
    case "STORE_ACCESS":
    case "STORE_UNSAFE":
      return 78;
    case "STORE_UNAVAILABLE":
    case "LOCK_HELD":
      return 75;
    case "WORK_NOT_STOPPED":
      return error.waitedMs > 0 ? 70 : 71;
    case "LEASE_LOST":
      return error.reason === "frozen" ? 1 : 2;
    case "LEASE_ENDED":
    case "NOT_HELD":
    case "REENTRANT":
    case "RECORD":
    case "FENCED_OUT":
      return 70;
  }
}

export function line(event: ConsensusEvent): string {
  switch (event.type) {
    case "acquired":
      return `${event.lease.key} after ${event.waitedMs} ms`;
    case "lost":
      return event.error.reason;
    case "released":
      return event.outcome;
    case "renewal-failed":
      return `${event.remainingMs} ms left: ${event.error.code}`;
    case "unreadable":
      return `${event.error.key}: ${event.error.kind}`;
    case "callback-failed":
      return `${event.name}: ${String(event.error)}`;
    case "leader":
      return event.leader?.holder ?? "nobody";
    case "task":
      return `${event.task}: ${event.run.state}`;
  }
}

export async function main(queue: Queue, env: Readonly<Record<string, string | undefined>>): Promise<number> {
  const manager = new Manager<Published>({
    store: env["STORE"] ?? "s3://jobs/prod",
    node: env["HOSTNAME"],
    name: "jobs",
    ttlMs: env["TTL_MS"] === undefined ? undefined : Number(env["TTL_MS"]),
    metadata: { url: `http://${env["HOSTNAME"] ?? "localhost"}`, version: 3 },
    onEvent: (event) => console.log(line(event)),
    logger: console,
  });
  const probe = createServer((_, response) => {
    const health: Health = manager.health();
    response.writeHead(health.ok ? 200 : 503).end(health.ok ? health.role : health.error.message);
  });
  try {
    await manager.run({ onElected: (term) => work(queue, term) }, { signal: shutdownSignal(), onDone: "release" });
    return 0;
  } catch (e) {
    if (ConsensusError.is(e)) return exitStatus(e);
    throw e;
  } finally {
    probe.close();
  }
}
