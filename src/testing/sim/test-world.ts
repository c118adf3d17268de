/**
 * The user's face of the simulator: a world with named nodes, each with a store of its own on one simulated S3. The store brings the clock, so
 * a program that takes a store runs here in virtual time, hours in milliseconds, the same way every time.
 */
import type { Clock } from "../../clock/clock.ts";
import type { ObjectStore } from "../../store/object-store.ts";
import { throwFaults } from "../../options.ts";
import { isTimed, type Latency, type RequestClass, type RequestFault } from "./faults.ts";
import { Network } from "./network.ts";
import { SimNode, type NodeOptions, type WakeOrder } from "./sim-node.ts";
import { AWS_PROFILE, SimS3, type StoreProfile } from "./sim-s3.ts";
import { SimStore } from "./sim-store.ts";
import { World } from "./world.ts";
import { aRate, checkedStep, checkedTime, checkNode, checkWorldFault, checkWorldOptions } from "./world-options.ts";

export interface TestWorldOptions {
  /** Names the history: the same seed and the same program give the same one. A whole number. Default 1. */
  readonly seed?: number | undefined;
  /** Delays of a request there and back together, in milliseconds. Default: at least 4, and 8 more in the mean. */
  readonly latency?: Latency | undefined;
  /** How the store differs from AWS. */
  readonly profile?: Partial<StoreProfile> | undefined;
  /** Wall time at the beginning, in milliseconds since 1970. Default 2026-01-01. */
  readonly startWallMs?: number | undefined;
  /** Time limit of a request that names none, in milliseconds. Default 5 s. */
  readonly timeoutMs?: number | undefined;
  /** Gets each line of the event log. */
  readonly trace?: ((line: string) => void) | undefined;
}

export interface WorldFault {
  readonly kind: RequestFault;
  /** Only requests of this class. Default: all. */
  readonly on?: RequestClass | undefined;
  /** How many requests it strikes. Default 1; `Infinity` until the returned function is called. */
  readonly times?: number | undefined;
  /** For the kinds that take time (`slow-request`, `slow-reply`, `late`, `duplicate`, `retry`), how long. Default 1 s. */
  readonly ms?: number | undefined;
}

export interface TestNode {
  readonly name: string;
  /** The store of the process that runs on this node now. Its clock and randomness are the node's. */
  readonly store: ObjectStore;
  readonly clock: Clock;
  /** Makes the next requests of this node go wrong; the answer takes it back. */
  faults(fault: WorldFault): () => void;
  /** The machine is suspended for so long: nothing runs, the monotonic clock stands still, the wall clock goes on. */
  freeze(ms: number): void;
  /** The process is stopped for so long (as by SIGSTOP): nothing runs, both clocks go on. */
  pause(ms: number, order?: WakeOrder): void;
  /** The process is gone without a word; what it sent still travels, nothing is ever answered to it. */
  crash(): void;
  /** Crashes it if need be, and starts the next process: `store` is a new one from now on, the machine's wall clock is the same. */
  restart(): void;
  /** Moves the wall clock by so much. */
  stepWallClock(ms: number): void;
  /** Makes both clocks run at this rate until the answer is called; 1 is true. */
  setClockRate(rate: number): () => void;
  /** Timers that are waiting, and requests that are under way: what a program that has closed everything leaves at 0. */
  readonly timers: number;
  readonly inFlight: number;
}

export interface TestWorld {
  readonly seed: number;
  /** True time since the beginning, in milliseconds. */
  readonly nowMs: number;
  /** The hash of everything that happened: equal for equal runs. */
  readonly hash: string;
  /** The node of this name; made when it is first asked for, with the options of that call. */
  node(name: string, options?: NodeOptions): TestNode;
  /** Lets so much time pass, and everything that is due in it happen. Rejects with what a timer's callback threw. */
  advance(ms: number): Promise<void>;
  /** Lets time pass until `promise` is settled, and answers with it. Rejects if it is not within `withinMs` (default one hour). */
  until<T>(promise: Promise<T>, withinMs?: number): Promise<T>;
  /** What an operator does without conditions: overwrites an object, or with `undefined` deletes it. */
  overwrite(key: string, body: Uint8Array | undefined): void;
  /** The bytes of an object, looked at without a request. */
  peek(key: string): Uint8Array | undefined;
  keys(): readonly string[];
}

const ONE_HOUR_MS = 3_600_000;

/**
 * A world for tests of programs that take a `store`.
 *
 * ```ts
 * const world = testWorld({ seed: 7 });
 * const a = world.node("a");
 * a.faults({ kind: "lose-reply", on: "put", times: 1 });
 * const done = billing(a.store);
 * await world.advance(5_000);
 * await done;
 * ```
 *
 * Only what goes through `store` and its `clock` is virtual: a program that calls `setTimeout` itself, or waits for a file, waits in real time,
 * and `advance` does not wait for it.
 *
 * It and what it hands out throw `ConfigError` for a value that can't be meant: an unknown option, a negative time.
 */
export function testWorld(options: TestWorldOptions = {}): TestWorld {
  checkWorldOptions(options);
  const world = new World({ seed: options.seed ?? 1, startWallMs: options.startWallMs, trace: options.trace });
  const network = new Network(world, options.latency);
  const s3 = new SimS3(world, { ...AWS_PROFILE, ...options.profile });
  const nodes = new Map<string, { readonly node: TestNode; readonly options: string }>();
  return {
    seed: world.seed,
    get nowMs() {
      return world.nowMs;
    },
    get hash() {
      return world.hash;
    },
    node(name, nodeOptions) {
      checkNode(name, nodeOptions);
      const known = nodes.get(name);
      if (known !== undefined) {
        if (nodeOptions !== undefined && JSON.stringify(nodeOptions) !== known.options)
          throwFaults(`node ${JSON.stringify(name)}`, ["it is there already, with other options"]);
        return known.node;
      }
      const node = testNode(new SimNode(world, name, nodeOptions), network, s3, options.timeoutMs);
      nodes.set(name, { node, options: JSON.stringify(nodeOptions ?? {}) });
      return node;
    },
    advance: (ms) => world.runUntil(world.nowMs + checkedTime("advance", ms)),
    until: (promise, withinMs = ONE_HOUR_MS) => until(world, promise, checkedTime("until", withinMs)),
    overwrite: (key, body) => s3.overwrite(key, body),
    peek: (key) => s3.peek(key)?.body.slice(),
    keys: () => s3.keys(),
  };
}

async function until<T>(world: World, promise: Promise<T>, withinMs: number): Promise<T> {
  let isSettled = false;
  const settle = (): void => void (isSettled = true);
  promise.then(settle, settle);
  await world.runUntil(world.nowMs + withinMs, () => isSettled);
  if (!isSettled) throw new Error(`until: not settled within ${withinMs} ms of virtual time`);
  return promise;
}

function testNode(node: SimNode, network: Network, s3: SimS3, timeoutMs: number | undefined): TestNode {
  const { world, name } = node;
  const newStore = (): SimStore => new SimStore(node.process, { s3, network, timeoutMs });
  let store = newStore();
  return {
    name,
    get store() {
      return store;
    },
    get clock() {
      return node.process.clock;
    },
    faults: (fault) => {
      checkWorldFault(fault);
      const { kind, on, times = 1, ms = 1_000 } = fault;
      return network.addRule({ node: name, kind, on, x: isTimed(kind) ? ms : 1, left: times });
    },
    freeze: (ms) => void world.schedule(world.nowMs + checkedTime("freeze", ms), node.freeze()),
    pause: (ms, order) => void world.schedule(world.nowMs + checkedTime("pause", ms), node.pause(order)),
    crash: () => node.crash(),
    restart: () => {
      node.restart();
      store = newStore();
    },
    stepWallClock: (ms) => node.stepWall(checkedStep("stepWallClock", ms)),
    setClockRate: (rate) => {
      const right = aRate(rate);
      if (right !== undefined) throwFaults("setClockRate", [`${rate}: expected ${right}`]);
      return node.pushRate(rate);
    },
    get timers() {
      return node.process.timers;
    },
    get inFlight() {
      return node.process.inFlight;
    },
  };
}
