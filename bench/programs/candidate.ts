/** Candidate in many elections at once, so that one death gives many samples. `URL NODE COUNT TTL_MS POLL_MS`. */
import process from "node:process";
import { setTimeout as pass } from "node:timers/promises";
import { Manager, s3Store } from "s3-consensus";
import { shutdownSignal } from "s3-consensus/node";
import { emit } from "../../test/support/emit.ts";

const [url = "", node = "", count = "1", ttlMs = "6000", pollMs = "1000"] = process.argv.slice(2);
const store = s3Store(url);
const signal = shutdownSignal();
process.stdin.resume().once("end", () => process.exit(0));

await store.ensureSafe();
await Promise.all(
  Array.from({ length: Number(count) }, async (_, i) => {
    // Their renewals and polls must not fall on one moment: a death would give one sample many times.
    await pass((i / Number(count)) * Number(pollMs));
    const manager = new Manager({ store, name: `e${i}`, node, ttlMs: Number(ttlMs), pollMs: Number(pollMs) });
    await manager.run(
      {
        onElected: ({ fencingToken }) => emit("elected", { election: i, token: fencingToken }),
        onLeaderChange: ({ leader }) => emit("sees", { election: i, holder: leader?.holder }),
      },
      { signal },
    );
  }),
);
emit("stopped");
process.exit(0);
