/** A controller that reconciles a state file: only the leader writes, and the file itself refuses a leader that was followed by another. */
import { type Fence, FencedOutError, fencedObject, type FencedObject, Manager, RecordError, type Store, type Term } from "s3-consensus";

interface State {
  readonly revision: number;
}

export class Controller {
  readonly #state: FencedObject;
  readonly #manager: Manager;

  constructor(store: Store) {
    this.#state = fencedObject(store, "state.json");
    this.#manager = new Manager({ store, name: "controller", takeover: "auto" });
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#manager.run(
      { onElected: async (term) => await this.reconcile(term), onDemoted: async () => await this.flush() },
      { signal },
    );
  }

  async reconcile(term: Term): Promise<void> {
    // From here on no earlier leader's write goes through, so what is read now stays what is written over.
    await this.#state.open(term);
    while (!term.signal.aborted) {
      const now = await this.read();
      try {
        await this.#state.put(JSON.stringify({ revision: now.revision + 1 }), term, { timeoutMs: 5_000, signal: term.signal });
      } catch (e) {
        if (!(e instanceof FencedOutError)) throw e;
        const theirs: Fence = e.theirs;
        console.warn(`token ${e.mine.fencingToken} was followed by ${theirs.fencingToken}`);
        return;
      }
    }
  }

  async read(): Promise<State> {
    try {
      const content = await this.#state.get();
      return content === undefined ? { revision: 0 } : (JSON.parse(new TextDecoder().decode(content.body)) as State);
    } catch (e) {
      if (e instanceof RecordError && e.kind !== "damaged") console.error(e.key);
      throw e;
    }
  }

  async flush(): Promise<void> {
    await this.#state.prune();
  }
}
