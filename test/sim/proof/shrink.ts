/**
 * Delta debugging of a plan: windows are left out, chunk by chunk, as long as the same promise is still broken. Because all other randomness
 * is addressed by what it is for, leaving one out moves nothing else by itself. Then keys and nodes are left out, and the end is brought forward.
 */
import type { Plan } from "./plan.ts";
import { runPlan, type Failure } from "./run.ts";

export interface Shrunk {
  readonly plan: Plan;
  readonly failure: Failure;
  readonly runs: number;
}

export interface ShrinkLimits {
  /** So many runs at most. */
  readonly runs: number;
  /** Told after each run that left something out. */
  readonly onProgress?: ((windows: number, runs: number) => void) | undefined;
  readonly isStopped?: (() => boolean) | undefined;
}

export async function shrink(plan: Plan, failure: Failure, limits: ShrinkLimits): Promise<Shrunk> {
  const search = new Search(plan, failure, limits);
  // What did not begin before the failure can't have caused it, except for the end of the faults itself.
  await search.tryPlan({ ...plan, windows: plan.windows.filter((w) => w.from <= failure.atMs) });
  await search.dropParts();
  await search.dropWindows();
  await search.dropParts();
  await search.shorten();
  await search.dropWindows();
  return search.result();
}

class Search {
  #best: Plan;
  #failure: Failure;
  #runs = 0;
  readonly #signature: string;
  readonly #limits: ShrinkLimits;

  constructor(plan: Plan, failure: Failure, limits: ShrinkLimits) {
    this.#best = plan;
    this.#failure = failure;
    this.#signature = signatureOf(failure);
    this.#limits = limits;
  }

  result(): Shrunk {
    const found = `${this.#failure.message} (at ${Math.round(this.#failure.atMs)} ms)`;
    return { plan: { ...this.#best, found }, failure: this.#failure, runs: this.#runs };
  }

  /** Keeps `plan` if it breaks the same promise. */
  async tryPlan(plan: Plan): Promise<boolean> {
    if (this.#isOver) return false;
    this.#runs++;
    const { failure } = await runPlan(plan);
    if (failure === undefined || signatureOf(failure) !== this.#signature) return false;
    this.#best = plan;
    this.#failure = failure;
    this.#limits.onProgress?.(plan.windows.length, this.#runs);
    return true;
  }

  /** Zeller's ddmin over the windows: ever smaller chunks are left out. */
  async dropWindows(): Promise<void> {
    let chunks = 2;
    while (this.#best.windows.length > 0 && !this.#isOver) {
      const { windows } = this.#best;
      const size = Math.ceil(windows.length / chunks);
      let dropped = false;
      for (let at = 0; at < windows.length && !dropped; at += size) {
        dropped = await this.tryPlan({ ...this.#best, windows: [...windows.slice(0, at), ...windows.slice(at + size)] });
      }
      if (dropped) chunks = Math.max(2, chunks - 1);
      else if (size === 1) return;
      else chunks = Math.min(windows.length, chunks * 2);
    }
  }

  async dropParts(): Promise<void> {
    for (const key of this.#best.keys) {
      if (this.#best.keys.length > 1 || (this.#best.faces ?? []).length > 0)
        await this.tryPlan({ ...this.#best, keys: this.#best.keys.filter((k) => k !== key) });
    }
    for (const face of this.#best.faces ?? []) await this.tryPlan({ ...this.#best, faces: this.#best.faces?.filter((f) => f !== face) });
    for (const face of this.#best.faces ?? []) {
      for (let callers = 1; callers < face.callers; callers++) {
        if (await this.tryPlan({ ...this.#best, faces: this.#best.faces?.map((f) => (f === face ? { ...f, callers } : f)) })) break;
      }
    }
    for (const node of this.#best.nodes) {
      if (this.#best.nodes.length === 1) break;
      const nodes = this.#best.nodes.filter((n) => n.name !== node.name);
      const faces = this.#best.faces?.filter((f) => f.node !== node.name);
      await this.tryPlan({ ...this.#best, nodes, faces, windows: this.#best.windows.filter((w) => w.node !== node.name) });
    }
  }

  /** A failure in the calm may not need the whole time of faults before it. */
  async shorten(): Promise<void> {
    for (const part of [0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8]) {
      const safetyMs = Math.round(this.#best.safetyMs * part);
      const windows = this.#best.windows.filter((w) => w.from < safetyMs).map((w) => ({ ...w, to: Math.min(w.to, safetyMs) }));
      if (await this.tryPlan({ ...this.#best, safetyMs, windows })) return;
    }
  }

  get #isOver(): boolean {
    return this.#runs >= this.#limits.runs || this.#limits.isStopped?.() === true;
  }
}

/** What was broken, without the names and numbers that another plan would have: shrinking must not slip from one defect to another. */
function signatureOf(failure: Failure): string {
  return failure.message
    .slice(0, 160)
    .replace(/\(.*$/s, "")
    .replace(/\b[a-e]\d*\b/g, "#")
    .replace(/\d+(\.\d+)?/g, "#");
}
