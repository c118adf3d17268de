/** Something that happens at one instant of true time. Two at the same instant happen in the order in which they were scheduled. */
export interface SimEvent {
  readonly atMs: number;
  readonly sequence: number;
  readonly run: () => void;
  cancelled: boolean;
}

function before(a: SimEvent, b: SimEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}

/** A binary heap by (time, sequence). Cancelled events stay in it until their turn, and are thrown away then. */
export class EventHeap {
  readonly #items: SimEvent[] = [];

  get size(): number {
    return this.#items.length;
  }

  push(event: SimEvent): void {
    const items = this.#items;
    let i = items.length;
    items.push(event);
    while (i > 0) {
      const up = (i - 1) >> 1;
      const parent = items[up];
      if (parent === undefined || !before(event, parent)) break;
      items[i] = parent;
      i = up;
    }
    items[i] = event;
  }

  /** The next event that was not cancelled, left in place. */
  peek(): SimEvent | undefined {
    for (;;) {
      const first = this.#items[0];
      if (first === undefined || !first.cancelled) return first;
      this.#drop();
    }
  }

  pop(): SimEvent | undefined {
    const first = this.peek();
    if (first !== undefined) this.#drop();
    return first;
  }

  /** Takes the first item out, whatever it is. */
  #drop(): void {
    const items = this.#items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return;
    let i = 0;
    for (;;) {
      const left = 2 * i + 1;
      let child = items[left];
      if (child === undefined) break;
      let at = left;
      const right = items[left + 1];
      if (right !== undefined && before(right, child)) {
        child = right;
        at = left + 1;
      }
      if (!before(child, last)) break;
      items[i] = child;
      i = at;
    }
    items[i] = last;
  }
}
