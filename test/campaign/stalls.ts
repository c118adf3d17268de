/**
 * Notices when the machine itself stood still (a suspended virtual machine, a starved CPU): then times say nothing about the package. What is safe
 * must stay safe all the same, so nothing else is forgiven.
 */
import { nowMs } from "./tap.ts";

export interface Stall {
  readonly fromMs: number;
  readonly toMs: number;
}

const LOOK_MS = 100;
const STALL_MS = 1000;

export class StallWatch {
  readonly stalls: Stall[] = [];
  readonly #timer: NodeJS.Timeout;
  #lastMs = nowMs();

  constructor() {
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Whether the machine stood still at some time between the two. */
  between(fromMs: number, toMs: number): boolean {
    this.#look();
    return this.stalls.some((stall) => stall.fromMs < toMs && stall.toMs > fromMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = nowMs();
    if (now - this.#lastMs > STALL_MS) this.stalls.push({ fromMs: this.#lastMs, toMs: now });
    this.#lastMs = now;
  }
}
