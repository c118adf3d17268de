/** What lies between the processes and the store: it decides the fate of each request and tells what happened to it. */
import { calmFate, strike, type Draws, type Fate, type FaultWindow, type Latency, type RequestClass, type RequestFault } from "./faults.ts";
import type { Attempt } from "./sim-store.ts";
import type { World } from "./world.ts";

export type AttemptStage = "sent" | "executed" | "answered";

/** A fault for the next requests of one kind, as a test asks for it. */
export interface RequestRule {
  readonly node: string;
  readonly kind: RequestFault;
  readonly on: RequestClass | undefined;
  readonly x: number;
  left: number;
}

const CALM: Latency = { minMs: 4, meanMs: 8 };

export class Network {
  readonly #world: World;
  readonly #latency: Latency;
  readonly #open = new Set<FaultWindow & { readonly kind: RequestFault }>();
  readonly #rules: RequestRule[] = [];
  readonly #watchers: ((stage: AttemptStage, attempt: Attempt) => void)[] = [];
  /** How often each kind of fault struck a request. */
  readonly struck: Map<RequestFault, number> = new Map();

  constructor(world: World, latency: Latency = CALM) {
    this.#world = world;
    this.#latency = latency;
  }

  watch(watcher: (stage: AttemptStage, attempt: Attempt) => void): void {
    this.#watchers.push(watcher);
  }

  tell(stage: AttemptStage, attempt: Attempt): void {
    for (const watcher of this.#watchers) watcher(stage, attempt);
  }

  /** Opens and closes a window of a plan in its time. */
  addWindow(window: FaultWindow & { readonly kind: RequestFault }): void {
    if (window.to <= window.from) return;
    this.#world.schedule(window.from, () => {
      this.#open.add(window);
      this.#world.log("fault-on", window.node, window.kind);
    });
    this.#world.schedule(window.to, () => {
      this.#open.delete(window);
      this.#world.log("fault-off", window.node, window.kind);
    });
  }

  /** Whether a window of this kind is open for a node. */
  isOpen(kind: RequestFault, node: string): boolean {
    for (const window of this.#open) if (window.kind === kind && (window.node === "*" || window.node === node)) return true;
    return false;
  }

  addRule(rule: RequestRule): () => void {
    this.#rules.push(rule);
    return () => {
      const at = this.#rules.indexOf(rule);
      if (at >= 0) this.#rules.splice(at, 1);
    };
  }

  /** @param isProbe the store's own proof of its path, which only windows strike: a test's rule is about the program's requests */
  fateOf(node: string, on: RequestClass, draws: Draws, isProbe: boolean): Fate {
    const fate = calmFate(this.#latency, draws);
    for (const window of this.#open) {
      if (appliesTo(window, node, on) && strike(fate, window.kind, window.x, draws)) this.#count(window.kind);
    }
    if (isProbe) return fate;
    for (const rule of [...this.#rules]) {
      if (!appliesTo(rule, node, on)) continue;
      strike(fate, rule.kind, rule.x, draws, true);
      this.#count(rule.kind);
      if (--rule.left <= 0) this.#rules.splice(this.#rules.indexOf(rule), 1);
    }
    return fate;
  }

  #count(kind: RequestFault): void {
    this.struck.set(kind, (this.struck.get(kind) ?? 0) + 1);
  }
}

function appliesTo(fault: { readonly node: string; readonly on?: RequestClass | undefined }, node: string, on: RequestClass): boolean {
  return (fault.node === "*" || fault.node === node) && (fault.on === undefined || fault.on === on);
}
