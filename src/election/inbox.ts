/** A queue that one loop awaits: what happens around it is posted, and handled one after the other, in order. */
export class Inbox<T> {
  readonly #messages: T[] = [];
  #waiting: ((message: T) => void) | undefined;

  post(message: T): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) waiting(message);
    else this.#messages.push(message);
  }

  next(): Promise<T> {
    const message = this.#messages.shift();
    if (message !== undefined) return Promise.resolve(message);
    return new Promise((resolve) => (this.#waiting = resolve));
  }

  /** Takes out what nobody will await any more. */
  rest(): readonly T[] {
    return this.#messages.splice(0);
  }
}
