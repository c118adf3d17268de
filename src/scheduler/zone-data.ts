import type { Emitter } from "../lease/wiring.ts";
import type { RunEntry } from "./task-state.ts";

/** The version of the time-zone data, where the runtime tells it. */
export function zoneData(): string | undefined {
  return (globalThis as { process?: { versions?: { tz?: string } } }).process?.versions?.tz;
}

/** Nodes with different data may disagree about ticks: that is told once for each other version that is met. */
export class ZoneData {
  readonly #task: string;
  readonly #emitter: Emitter;
  readonly #told = new Set<string>();

  constructor(task: string, emitter: Emitter) {
    this.#task = task;
    this.#emitter = emitter;
  }

  compare(run: RunEntry | undefined, ours: string | undefined = zoneData()): void {
    const theirs = run?.tz;
    if (theirs === undefined || ours === undefined || theirs === ours || this.#told.has(theirs) || this.#told.size >= MAX_TOLD) return;
    this.#told.add(theirs);
    const message = `task "${this.#task}": ${run?.holder ?? ""} has time-zone data ${theirs}, this node has ${ours}: they may differ about ticks`;
    this.#emitter.log("warn", { task: this.#task, theirs, ours }, message);
  }
}

const MAX_TOLD = 10;
