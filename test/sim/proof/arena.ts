/** The place of one run: world, store, network, nodes with their programs, the plan's faults, and what watches over the promises. */
import type { Manager } from "../../../src/election/manager.ts";
import { ConsensusError, LeaseLostError } from "../../../src/errors.ts";
import { leaseKey } from "../../../src/record/keys.ts";
import type { DrainKind } from "../../../src/testing/sim/drain.ts";
import { isRequestFault, type FaultWindow } from "../../../src/testing/sim/faults.ts";
import { Network } from "../../../src/testing/sim/network.ts";
import { SimNode, type SimProcess, type WakeOrder } from "../../../src/testing/sim/sim-node.ts";
import { AWS_PROFILE, SimS3 } from "../../../src/testing/sim/sim-s3.ts";
import { SimStore } from "../../../src/testing/sim/sim-store.ts";
import { World } from "../../../src/testing/sim/world.ts";
import { Coverage } from "./coverage.ts";
import { Ledger, lifetimeLeftMs } from "./ledger.ts";
import { isTampered, type NodePlan, type Plan } from "./plan.ts";
import { Program } from "./program.ts";
import { FencedResource } from "./resource.ts";
import { describe, Terms, type TrackedTerm } from "./terms.ts";
import { doubt, isOperation, operate } from "./operator.ts";
import { Violation } from "./violation.ts";

const WAKE_ORDERS: readonly WakeOrder[] = ["as-they-came", "timers-first", "answers-first"];
/** Timers fire late by this much in the mean; see `NOTICE_MS` of terms.ts. */
const TIMER_LAG_MS = 0.2;
/** More requests for a key in a ttl than any mixture of faults explains: so many, and four more a second for what is tried again and again. */
const STORM = { base: 60, perSecond: 4 };

export interface Member {
  readonly plan: NodePlan;
  readonly node: SimNode;
  programs: Program[];
  /** All programs of the process have been stopped and have ended: nothing may come from it any more (I8). */
  isClosed: boolean;
  /** Requests sent in the present ttl of its clock. */
  period: number;
  sentInPeriod: number;
}

export interface ArenaOptions {
  readonly drain?: DrainKind | undefined;
  readonly trace?: ((line: string) => void) | undefined;
}

export class Arena {
  readonly plan: Plan;
  readonly world: World;
  readonly s3: SimS3;
  readonly network: Network;
  readonly coverage: Coverage = new Coverage();
  readonly ledger: Ledger;
  readonly terms: Terms;
  readonly resource: FencedResource;
  readonly members: readonly Member[];
  /** Faults are over: from now on a leader keeps leading. */
  isCalm = false;
  #mostInPeriod = 0;
  readonly #open = new Map<string, FaultWindow[]>();
  readonly #managers: { readonly manager: Manager; readonly process: SimProcess }[] = [];

  constructor(plan: Plan, options: ArenaOptions = {}) {
    this.plan = plan;
    this.world = new World({ seed: plan.seed, drain: options.drain ?? "fast", trace: options.trace });
    this.s3 = new SimS3(this.world, { ...AWS_PROFILE, ...plan.profile });
    this.network = new Network(this.world, plan.latency);
    this.ledger = new Ledger(this.world, this.s3, this.network, this.coverage, {
      onAcquired: (key, by) => this.#acquired(key, by),
      onReleasing: (key, token, by) => this.#releasing(key, token, by),
    });
    const tampered = isTampered(plan);
    this.terms = new Terms(this.world, this.coverage, {
      isExclusive: () => plan.boundedClocks && !tampered,
      onTerm: ({ process, key, token }) => this.ledger.noteTerm(process, key, token),
      onLoss: (term) => this.#lost(term),
    });
    this.resource = new FencedResource(this.world, this.ledger, this.coverage);
    this.members = plan.nodes.map((node) => this.#member(node));
    for (const window of plan.windows) this.#arrange(window);
    this.network.watch((stage, attempt) => {
      if (stage === "sent") this.#checkClosed(attempt.process);
    });
    this.network.watch((stage, attempt) => {
      if (stage === "sent") this.#checkStorm(attempt.process);
    });
    this.world.addCheck(() => this.#checkKeptAlive());
    for (const member of this.members) this.#boot(member);
  }

  objectKey(key: string): string {
    return leaseKey("locks/", "elections", key);
  }

  fail(invariant: string, message: string): void {
    this.world.fail(new Violation(invariant, message));
  }

  /** Runs a check of the user's program; what it finds ends the run, and the program does not notice. */
  attempt<T>(check: () => T): T | undefined {
    try {
      return check();
    } catch (error) {
      this.world.fail(error);
      return undefined;
    }
  }

  /** The window of this kind that is open for a node now. */
  isOpen(kind: string, node: string): FaultWindow | undefined {
    return this.#open.get(`${kind}/${node}`)?.at(-1);
  }

  otherNode(name: string): string | undefined {
    return this.plan.nodes.find((n) => n.name !== name)?.name;
  }

  managed(manager: Manager, process: SimProcess): Manager {
    this.#managers.push({ manager, process });
    return manager;
  }

  opened(process: SimProcess): void {
    const member = this.#memberOf(process);
    if (member !== undefined) member.isClosed = false;
  }

  /** A program of this process has ended. When it was the last one, nothing of the package may be left (I8). */
  closed(process: SimProcess): void {
    const member = this.#memberOf(process);
    if (member === undefined || !process.isAlive || member.programs.some((p) => p.state !== "off" || p.leftovers > 0)) return;
    this.coverage.count("closed processes");
    if (process.timers > 0 || process.inFlight > 0) {
      this.fail(
        "I8",
        `${member.plan.name}${process.generation}: ${process.timers} timers and ${process.inFlight} requests are left after everything was stopped`,
      );
    }
    member.isClosed = true;
  }

  /** The most requests for one key that a process sent within a ttl. */
  get mostInPeriod(): number {
    return this.#mostInPeriod;
  }

  /** Counters of all managers, as they are now. */
  sumStats(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const { manager } of this.#managers) {
      for (const [name, n] of Object.entries(manager.stats())) sums.set(name, (sums.get(name) ?? 0) + n);
    }
    return sums;
  }

  /** Starts every program that the plan has stopped, on every machine that runs. */
  startAll(): void {
    for (const member of this.members) {
      if (!member.node.process.isAlive) this.#reboot(member);
      for (const program of member.programs) program.start();
    }
  }

  #member(plan: NodePlan): Member {
    const { rate, wallOffsetMs, timerEarlyMs } = plan;
    const node = new SimNode(this.world, plan.name, { rate, wallOffsetMs, timerEarlyMs, timerLagMs: TIMER_LAG_MS });
    return { plan, node, programs: [], isClosed: false, period: 0, sentInPeriod: 0 };
  }

  #boot(member: Member): void {
    const { process } = member.node;
    const store = new SimStore(process, { s3: this.s3, network: this.network });
    Object.assign(member, { isClosed: false, period: 0, sentInPeriod: 0 });
    member.programs = this.plan.keys.map((key) => new Program(this, process, store, key, member.plan));
    for (const program of member.programs) program.start();
  }

  #reboot(member: Member): void {
    member.node.restart();
    this.#boot(member);
  }

  #memberOf(process: SimProcess): Member | undefined {
    return this.members.find((m) => m.node === process.node && m.node.process === process);
  }

  #arrange(window: FaultWindow): void {
    if (isRequestFault(window.kind)) {
      this.network.addWindow({ ...window, kind: window.kind });
      return;
    }
    const { world } = this;
    if (window.kind === "doubt") return doubt(this, window);
    if (isOperation(window.kind)) {
      world.schedule(window.from, () => operate(this, window));
      return;
    }
    const member = this.members.find((m) => m.plan.name === window.node);
    if (member === undefined) return;
    world.schedule(window.from, () => {
      world.log("fault-on", window.node, window.kind);
      this.coverage.count(`fault ${window.kind}`);
      const end = this.#strike(member, window);
      world.schedule(window.to, () => {
        world.log("fault-off", window.node, window.kind);
        end();
      });
    });
  }

  /** Begins what happens to a machine or its program, and answers with what ends it. */
  #strike(member: Member, window: FaultWindow): () => void {
    const { node } = member;
    switch (window.kind) {
      case "clock-rate":
        return node.pushRate(window.x);
      case "wall-step":
        node.stepWall(window.x);
        return () => node.stepWall(-window.x);
      case "pause":
        return node.pause(WAKE_ORDERS[window.x]);
      case "freeze":
        return node.freeze(WAKE_ORDERS[window.x]);
      case "crash":
        return this.#crash(member);
      case "stop":
        return this.#stop(member);
      case "step-down":
        this.#tell(member, (program) => void program.stepDown());
        return () => {};
      default:
        return this.#openWindow(window);
    }
  }

  #crash(member: Member): () => void {
    const { process } = member.node;
    if (process.isAlive && this.ledger.openWrites(process).some((w) => w.applied)) this.coverage.saw("crash between PUT and reply");
    member.node.crash();
    return () => {
      if (!member.node.process.isAlive) this.#reboot(member);
    };
  }

  #stop(member: Member): () => void {
    this.#tell(member, (program) => program.stop());
    return () => this.#tell(member, (program) => program.start());
  }

  /** A signal reaches a process only when it runs. */
  #tell(member: Member, what: (program: Program) => void): void {
    const { process } = member.node;
    member.node.deliver(process, "answer", () => member.programs.forEach(what));
  }

  #openWindow(window: FaultWindow): () => void {
    const id = `${window.kind}/${window.node}`;
    const list = this.#open.get(id) ?? [];
    this.#open.set(id, list);
    list.push(window);
    return () => void list.splice(list.indexOf(window), 1);
  }

  /** I7: while anybody's clock says valid, nobody else's acquisition is applied. */
  #acquired(key: string, by: SimProcess): void {
    if (!this.terms.isExclusive(key)) return;
    for (const believer of this.terms.believers(key)) {
      this.world.fail(
        new Violation("I7", `${describe(believer)} was overtaken by ${by.node.name}${by.generation} while its clocks say that it holds`),
      );
    }
  }

  /** H7: nothing is given back while it is believed in, or under work that has not settled. */
  #releasing(key: string, token: number, by: SimProcess): void {
    const term = this.terms.find(by, key, token);
    if (term === undefined) return;
    if (term.term.remainingMs > 0) this.fail("H7", `${describe(term)}: the release was sent while it is believed in`);
    if (term.isWorking) this.fail("H7", `${describe(term)}: the release was sent while the work has not settled`);
  }

  /** I6: what a loss says is true of the store at that moment, and of the holder's own clocks. */
  #lost(tracked: TrackedTerm): void {
    const { reason, key, token, process } = tracked;
    if (!(reason instanceof LeaseLostError)) {
      if (!ConsensusError.is(reason)) this.fail("I5", `${describe(tracked)}: the signal was aborted with ${String(reason)}`);
      return;
    }
    this.coverage.count(`lost: ${reason.reason}`);
    const history = this.ledger.history(key);
    const wrong = (why: string): void =>
      this.fail("I6", `${describe(tracked)}: lost as "${reason.reason}", but ${why} (${reason.message})`);
    if (reason.reason === "overtaken" && history.highestToken <= token) wrong("nobody has acquired it since");
    if ((reason.reason === "deleted" || reason.reason === "replaced") && !history.tampered) wrong("nobody but the code has written there");
    if (reason.reason !== "expired" && reason.reason !== "frozen") return;
    // After a step of the wall clock a newer write, found applied by a read, may end earlier than an older acknowledged one.
    const parted = process.node.clocksPartedAtMs;
    if (parted !== undefined && process.node.monotonicMs() - parted < tracked.ttlMs) return;
    const write = this.ledger.believed(process, key, token);
    // One millisecond of grace: the wall clock shows whole ones.
    if (write !== undefined && lifetimeLeftMs(write) > 1)
      wrong(`its last acknowledged write is good for ${lifetimeLeftMs(write).toFixed(1)} ms more`);
  }

  /** I8: after everything was stopped nothing is sent. */
  #checkClosed(process: SimProcess): void {
    const member = this.#memberOf(process);
    if (member?.isClosed === true)
      this.fail("I8", `${member.plan.name}${process.generation}: a request was sent after everything had been stopped`);
  }

  /**
   * I10: however much goes wrong, a process sends at most so many requests in a ttl for each key. Not behind a proxy that sends writes twice: a
   * winner that hears "refused" of its own acquisition takes the key again at once, as its orphan.
   */
  #checkStorm(process: SimProcess): void {
    const member = this.#memberOf(process);
    if (member === undefined) return;
    const { name, ttlMs } = member.plan;
    const period = Math.floor(process.node.monotonicMs() / ttlMs);
    if (member.period !== period || this.network.isOpen("retry", name)) Object.assign(member, { period, sentInPeriod: 0 });
    member.sentInPeriod++;
    const perKey = member.sentInPeriod / this.plan.keys.length;
    this.#mostInPeriod = Math.max(this.#mostInPeriod, perKey);
    const limit = STORM.base + (STORM.perSecond * ttlMs) / 1_000;
    if (perKey > limit)
      this.fail("I10", `${name} sent ${member.sentInPeriod} requests for ${this.plan.keys.length} keys in a ttl: a storm`);
  }

  /** H8: while something is awaited the runtime would not end the process. */
  #checkKeptAlive(): void {
    for (const { node, programs } of this.members) {
      if (!node.isRunning || node.process.isKeptAlive) continue;
      if (programs.length > 0 && programs.every((p) => p.isAwaited)) {
        this.fail(
          "H8",
          `${node.name}${node.process.generation}: everything is awaited, but no timer and no request keeps the process alive`,
        );
      }
    }
  }
}
