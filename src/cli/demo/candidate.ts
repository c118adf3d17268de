/** A process of the demo: a whole program with an election in it. */
import { Manager } from "../../election/manager.ts";
import { shutdownSignal } from "../../node.ts";
import { s3Store } from "../../store/s3.ts";
import { act, sayDemoted, sayElected, settings } from "./telling.ts";

const { store: url, name, node, ttlMs, pollMs } = settings;
const store = s3Store(url);
const manager = new Manager({ store, name, node, ttlMs, pollMs });

await act(
  store,
  () => ({ held: manager.current, sees: manager.lastLeader?.holder }),
  () =>
    manager.run(
      { onElected: (term) => sayElected(term), onDemoted: ({ term, reason }) => sayDemoted(term.fencingToken, reason) },
      { signal: shutdownSignal() },
    ),
);
