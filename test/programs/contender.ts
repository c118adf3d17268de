/**
 * A node of an election. While it leads it "acts" every few milliseconds, as a worker would: checks, then says so with its token. A test that
 * sees an older token act after a newer one has seen two leaders.
 *
 * STORE: the store's URL; OPTIONS: JSON for `new Manager`; ACT_MS: time between two acts.
 */
import process from "node:process";
import { Manager, type ManagerOptions, s3Store, type Term } from "s3-consensus";
import { shutdownSignal } from "s3-consensus/node";
import { emit } from "../support/emit.ts";
import { describe, listen } from "./lines.ts";

const store = s3Store(process.env["STORE"] ?? "");
const options = JSON.parse(process.env["OPTIONS"] ?? "{}") as ManagerOptions<never> & { node?: string };
const actMs = Number(process.env["ACT_MS"] ?? "20");
const manager = new Manager({ store, ...options });
const stop = new AbortController();
shutdownSignal().addEventListener("abort", () => stop.abort());
let term: Term | undefined;

listen(async (command) => {
  switch (command["do"]) {
    case "look":
      return {
        isLeader: manager.isLeader(),
        aborted: term?.signal.aborted,
        assert: asserted(),
        token: term?.fencingToken,
        remainingMs: term?.remainingMs,
      };
    case "verify":
      return term?.verify();
    case "step-down":
      return manager.stepDown(command["options"] as object);
    case "stats":
      return { lease: manager.stats(), store: store.stats() };
    case "health":
      return manager.health();
    case "stop":
      return stop.abort();
    default:
      throw new Error(`unknown command ${JSON.stringify(command)}`);
  }
});

function asserted(): unknown {
  try {
    term?.assertHeld();
    return term === undefined ? "no term" : "held";
  } catch (e) {
    return describe(e);
  }
}

emit("ready", { pid: process.pid });
try {
  await manager.run(
    {
      onElected: async (elected) => {
        term = elected;
        emit("elected", { token: elected.fencingToken, remainingMs: elected.remainingMs });
        while (!elected.signal.aborted) {
          if (elected.isHeld()) emit("act", { token: elected.fencingToken });
          await new Promise((resolve) => setTimeout(resolve, actMs));
        }
      },
      onDemoted: ({ term: ended, reason }) =>
        emit("demoted", { token: ended.fencingToken, code: reason.code, reason: reason.reason, message: reason.message }),
      onLeaderChange: ({ leader }) => emit("leader", { holder: leader?.holder, token: leader?.fencingToken }),
    },
    { signal: stop.signal },
  );
  emit("stopped");
  process.exitCode = 0;
} catch (e) {
  emit("failed", describe(e));
  process.exitCode = 1;
}
process.stdin.destroy();
