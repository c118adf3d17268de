/** A node that leads for a moment, gives way, and campaigns again: leadership goes round, and every overlap would show in the acts. */
import type { ManagerOptions, Manager as ManagerType } from "s3-consensus";
import { emit } from "../support/emit.ts";

export interface Rotation {
  readonly Manager: typeof ManagerType;
  readonly store: ConstructorParameters<typeof ManagerType>[0]["store"];
  readonly options: ManagerOptions<never> & { readonly node: string };
  readonly leadMs: number;
  readonly signal: AbortSignal;
}

export async function rotate({ Manager, store, options, leadMs, signal }: Rotation): Promise<void> {
  const manager = new Manager({ store, ...options });
  await manager.run(
    {
      onElected: async (term) => {
        emit("elected", { node: options.node, token: term.fencingToken });
        const until = performance.now() + leadMs;
        while (!term.signal.aborted && performance.now() < until) {
          if (term.isHeld()) emit("act", { node: options.node, token: term.fencingToken });
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      },
      onDemoted: ({ term, reason }) => emit("demoted", { node: options.node, token: term.fencingToken, reason: reason.reason }),
    },
    { signal, onDone: "release" },
  );
}
