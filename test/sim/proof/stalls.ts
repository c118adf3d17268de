/** Stops of a process at the one moment that matters: what a random moment hits once in a million seeds. */
import type { Attempt } from "../../../src/testing/sim/sim-store.ts";
import type { Arena } from "./arena.ts";
import type { STALLS } from "./plan.ts";
import { isClosed } from "./prune-books.ts";
import { viewOf } from "./record-view.ts";

/** Watches for those moments. Each window stops its process once. */
export function watchStalls(arena: Arena): void {
  const done = new Set<object>();
  arena.network.watch((stage, attempt) => {
    const kind = stage === "executed" ? momentOf(arena, attempt) : undefined;
    const window = kind && arena.isOpen(kind, attempt.process.node.name);
    if (kind === undefined || window === undefined || done.has(window) || !attempt.process.isAlive) return;
    done.add(window);
    arena.coverage.saw(kind === "stall-create" ? "stopped between a look at nothing and the create" : "pruner stopped before its DELETE");
    const resume = attempt.process.node.pause("answers-first");
    const { world, plan } = arena;
    world.schedule(Math.min(world.nowMs + window.x, Math.max(world.nowMs, plan.safetyMs)), resume);
  });
}

function momentOf({ s3 }: Arena, { operation }: Attempt): (typeof STALLS)[number] | undefined {
  if (!("key" in operation) || !operation.key.startsWith("locks/ephemeral/")) return undefined;
  const view = viewOf(s3.peek(operation.key)?.body);
  if (operation.kind === "get") return s3.peek(operation.key) === undefined ? "stall-create" : undefined;
  // What was refused left another nonce there.
  if (operation.kind !== "replace" || view === undefined || !isClosed(view)) return undefined;
  return viewOf(operation.body)?.nonce === view.nonce ? "stall-delete" : undefined;
}
