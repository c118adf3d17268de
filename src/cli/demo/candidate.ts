/** One of the demo's three processes: a whole program with an election in it, which tells its parent what it believes. */
import process from "node:process";
import { systemClock } from "../../clock/system.ts";
import { sleep } from "../../clock/wait.ts";
import { Manager } from "../../election/manager.ts";
import { LeaseLostError, messageOf } from "../../errors.ts";
import { shutdownSignal } from "../../node.ts";
import { s3Store } from "../../store/s3.ts";
import type { CandidateMessage, CandidateSettings } from "./messages.ts";

const STATUS_EVERY_MS = 100;

// A parent that was killed leaves no orphan: the channel closes with it.
process.on("disconnect", () => process.exit(1));

function say(message: CandidateMessage): void {
  if (process.connected) process.send?.(message);
}

const { store: url, election, node, ttlMs, pollMs } = JSON.parse(process.argv[2] ?? "{}") as CandidateSettings;
const store = s3Store(url);
const manager = new Manager({ store, name: election, node, ttlMs, pollMs });

function sayStatus(): void {
  const { current } = manager;
  const { get = 0, put = 0 } = store.stats();
  const leads = current === undefined ? undefined : { token: current.fencingToken, remainingMs: current.remainingMs };
  say({ kind: "status", leads, sees: manager.lastLeader?.holder, requests: { get, put } });
}

async function keepSaying(signal: AbortSignal): Promise<void> {
  while (await sleep(systemClock, STATUS_EVERY_MS, { signal })) sayStatus();
}

const over = new AbortController();
void keepSaying(over.signal);
try {
  await manager.run(
    {
      onElected: (term) => {
        const atNs = process.hrtime.bigint();
        say({ kind: "elected", token: term.fencingToken, fromNs: atNs - BigInt(Math.ceil(term.heldForMs * 1e6)), atNs });
        sayStatus();
      },
      onDemoted: ({ term, reason }) => {
        const lost = reason instanceof LeaseLostError;
        say({
          kind: "demoted",
          token: term.fencingToken,
          atNs: process.hrtime.bigint(),
          lost,
          reason: lost ? reason.message : reason.reason,
        });
      },
    },
    { signal: shutdownSignal() },
  );
} catch (e) {
  say({ kind: "failed", message: messageOf(e) });
  process.exitCode = 1;
} finally {
  over.abort();
  sayStatus();
  process.removeAllListeners("disconnect");
  if (process.connected) process.disconnect();
}
