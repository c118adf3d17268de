import { type Control, type ControlContext, readControl, type SeenControl } from "./control.ts";
import type { Wish } from "./decide.ts";
import type { TaskState } from "./task-state.ts";

/** What operators want of one task, as this process knows it: the object is read when a flag or an unusual end says so, and not at each look. */
export class Wishes {
  readonly context: ControlContext;
  #seen: SeenControl | undefined;
  /** The version of the record for which it was read. */
  #for: string | undefined;

  constructor(context: ControlContext) {
    this.context = context;
  }

  /** As last read. */
  get known(): Control | undefined {
    return this.#seen?.control;
  }

  /** One GET. @throws RecordError, StoreUnavailableError, StoreAccessError; the reason of `signal`. */
  async read(signal?: AbortSignal): Promise<Control> {
    this.#seen = await readControl(this.context, this.#seen, signal);
    return this.#seen.control;
  }

  /** As the record has it, unless the object has to be read. @throws as `read`. */
  async of(state: TaskState | undefined, etag: string, isFlagged: boolean): Promise<Wish> {
    const flagged = state === undefined || isFlagged || state.unread;
    const unusual = state?.run !== undefined && state.run.end === undefined;
    if (!flagged && !unusual) return { paused: state.paused, notBeforeMs: 0, triggers: state.triggered };
    if (this.known !== undefined && this.#for === etag) return this.known;
    const control = await this.read();
    this.#for = etag;
    return control;
  }
}
