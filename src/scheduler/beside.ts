import type { RunEntry } from "./task-state.ts";

/** Takes the runs that go on beside the turn that began them (`overlap: "allow"`). */
export interface Beside {
  /** This process runs as much as it may. */
  isFull(): boolean;
  add(run: Promise<RunEntry>): void;
}

/** Those of one turn, whose caller waits for them. The first has the caller's own place; for each other one there must be room. */
export class RunsBeside implements Beside {
  readonly #room: { left: number };
  readonly #all: Promise<RunEntry>[] = [];
  #running = 0;

  /** @param room how many more runs the process may have, shared by all turns at a time. */
  constructor(room: { left: number } = { left: 0 }) {
    this.#room = room;
  }

  isFull(): boolean {
    return this.#running > 0 && this.#room.left <= 0;
  }

  add(run: Promise<RunEntry>): void {
    const taken = this.#running === 0 ? 0 : 1;
    this.#running += 1;
    this.#room.left -= taken;
    const ended = (): void => {
      this.#running -= 1;
      this.#room.left += taken;
    };
    this.#all.push(run.finally(ended));
  }

  async settled(): Promise<readonly RunEntry[]> {
    return await Promise.all(this.#all);
  }
}
