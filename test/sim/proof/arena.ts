/** The place of one run: world, store, network, nodes with their programs, the plan's faults, and what watches over the promises. */
import type { Manager } from "../../../src/election/manager.ts";
import { ConsensusError, LeaseLostError } from "../../../src/errors.ts";
import { leaseKey } from "../../../src/record/keys.ts";
import type { DrainKind } from "../../../src/testing/sim/drain.ts";
import { isRequestFault, type FaultWindow } from "../../../src/testing/sim/faults.ts";
import { Network } from "../../../src/testing/sim/network.ts";
import { SimNode, type SimProcess, type WakeOrder } from "../../../src/testing/sim/sim-node.ts";
import { AWS_PROFILE, SimS3 } from "../../../src/testing/sim/sim-s3.ts";
import { SimStore, type Attempt } from "../../../src/testing/sim/sim-store.ts";
import { World } from "../../../src/testing/sim/world.ts";
import { Coverage } from "./coverage.ts";
import { Ledger, lifetimeLeftMs, type WriteEntry } from "./ledger.ts";
import { isTampered, type NodePlan, type Plan } from "./plan.ts";
import { Program } from "./program.ts";
import { FencedBooks } from "./fenced-books.ts";
import { Janitor } from "./janitor.ts";
import { LockBooks } from "./lock-books.ts";
import { LockProgram, SessionProgram } from "./lock-program.ts";
import { PruneBooks } from "./prune-books.ts";
import { memberKeyOf, viewOf } from "./record-view.ts";
import type { Resident } from "./resident.ts";
import { watchStalls } from "./stalls.ts";
import { TaskBooks } from "./task-books.ts";
import { TaskProgram } from "./task-program.ts";
import { FencedResource } from "./resource.ts";
import { describe, Terms, type TrackedTerm } from "./terms.ts";
import { doubt, isOperation, operate } from "./operator.ts";
import { Violation } from "./violation.ts";

const WAKE_ORDERS: readonly WakeOrder[] = ["as-they-came", "timers-first", "answers-first"];
const ELECTIONS = "locks/elections/";
const TASKS = "locks/tasks/";
const FACES = { locks: LockProgram, session: SessionProgram, scheduler: TaskProgram, janitor: Janitor };
const EPHEMERAL_MARK = "ephemeral:";
/** Timers fire late by this much in the mean; see `NOTICE_MS` of terms.ts. */
const TIMER_LAG_MS = 0.2;
/** More requests for a key in a ttl than any mixture of faults explains: so many, and four more a second for what is tried again and again. */
const STORM = { base: 60, perSecond: 4 };

export interface Member {
  readonly plan: NodePlan;
  readonly node: SimNode;
  /** Its part in the elections. */
  programs: Program[];
  /** Everything that lives in its process, the elections included. */
  residents: readonly Resident[];
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
  readonly locks: LockBooks = new LockBooks(this);
  readonly fenced: FencedBooks;
  readonly pruning: PruneBooks;
  readonly tasks: TaskBooks = new TaskBooks(this);
  readonly members: readonly Member[];
  /** Faults are over: from now on a leader keeps leading. */
  isCalm = false;
  #mostInPeriod = 0;
  readonly #open = new Map<string, FaultWindow[]>();
  readonly #sleepers = new Set<() => void>();
  readonly #managers: Manager[] = [];
  readonly #elections: ReadonlySet<string>;
  readonly #electionRequests = new Map<string, number>();
  readonly #writes = new Map<string, number>();

  constructor(plan: Plan, options: ArenaOptions = {}) {
    this.plan = plan;
    this.#elections = new Set(plan.keys.map((key) => this.objectKey(key)));
    this.world = new World({ seed: plan.seed, drain: options.drain ?? "fast", trace: options.trace });
    this.s3 = new SimS3(this.world, { ...AWS_PROFILE, ...plan.profile });
    this.network = new Network(this.world, plan.latency);
    this.ledger = new Ledger(this.world, this.s3, this.network, this.coverage, {
      onAcquired: (key, by) => this.#acquired(key, by),
      onReleasing: (key, token, by) => this.#releasing(key, token, by),
      onSent: (write) => {
        this.locks.sent(write);
        this.pruning.sent(write);
      },
      onDeleted: (key, was, sinceMs) => this.pruning.deleted(key, was, sinceMs),
      onApplied: (key, before, record, write) => {
        this.locks.applied(key, before, record, write);
        this.pruning.applied(key, before, record);
        if (key.startsWith(TASKS)) this.tasks.applied(key, before.current, record, write?.process.node.name);
      },
      onRefused: (write) => this.#refused(write),
    });
    const tampered = isTampered(plan);
    this.terms = new Terms(this.world, this.coverage, {
      isExclusive: (key) => plan.boundedClocks && !(tampered && key.startsWith(ELECTIONS)),
      isCut: (term) => this.locks.isCut(term),
      baseOf: (key, token) => this.ledger.history(key).acquisitions.get(token)?.base ?? { key, token },
      onHeld: (term) => this.#held(term),
      onTerm: ({ process, key, token }) => this.ledger.noteTerm(process, key, token),
      onLoss: (term) => this.#lost(term),
    });
    this.fenced = new FencedBooks(this);
    this.pruning = new PruneBooks(this);
    watchStalls(this);
    this.resource = new FencedResource(this.world, this.ledger, this.coverage);
    this.members = plan.nodes.map((node) => this.#member(node));
    for (const window of plan.windows) this.#arrange(window);
    this.network.watch((stage, attempt) => {
      if (stage === "sent") this.#checkClosed(attempt.process);
    });
    this.network.watch((stage, attempt) => {
      if (stage !== "sent") return;
      this.#checkStorm(attempt.process);
      this.#countRequest(attempt);
    });
    this.world.addCheck(() => this.#checkKeptAlive());
    for (const member of this.members) this.#boot(member);
  }

  /** The key of an election's record. */
  objectKey(key: string): string {
    return leaseKey("locks/", "elections", key);
  }

  /** The key of a lock's record, by its whole name. */
  lockKey(name: string): string {
    const isEphemeral = name.startsWith(EPHEMERAL_MARK);
    return isEphemeral ? leaseKey("locks/", "ephemeral", name.slice(EPHEMERAL_MARK.length)) : leaseKey("locks/", "locks", name);
  }

  /** The key of a task's record. */
  taskKey(name: string): string {
    return leaseKey("locks/", "tasks", name);
  }

  /** Requests of a node's process for the elections so far. */
  electionRequests(node: string): number {
    return this.#electionRequests.get(node) ?? 0;
  }

  /** Writes that were sent so far, by node and key. */
  get writes(): ReadonlyMap<string, number> {
    return this.#writes;
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

  /** Something begins that is worth being awake for. */
  alarm(): void {
    for (const wake of [...this.#sleepers]) wake();
  }

  /** Until the answer is called, `wake` is called at each alarm while the process runs. */
  onAlarm(process: SimProcess, wake: () => void): () => void {
    const waker = (): void => process.node.deliver(process, "answer", wake);
    this.#sleepers.add(waker);
    return () => void this.#sleepers.delete(waker);
  }

  managed(manager: Manager): Manager {
    this.#managers.push(manager);
    return manager;
  }

  /** What a face of locks counted in its life. */
  countLocks(stats: Readonly<Record<string, number>>): void {
    for (const name of ["acquired", "refused", "released", "lost", "takeoversOfSessions", "membersEnded", "orphansTaken"])
      this.coverage.count(`locks ${name}`, stats[name] ?? 0);
    if (stats["acquired"] !== (stats["released"] ?? 0) + (stats["lost"] ?? 0) + (stats["held"] ?? 0))
      this.fail("I5", `the counts of a face of locks do not add up: ${JSON.stringify(stats)}`);
  }

  /** Work that does not come back by itself for so long. */
  async hang(program: { hanging: number; readonly process: SimProcess }, ms: number): Promise<void> {
    const { process } = program;
    program.hanging++;
    this.coverage.count("handlers that hung");
    await new Promise<void>((resolve) => {
      this.world.schedule(this.world.nowMs + Math.max(0, ms), () => process.node.deliver(process, "answer", resolve));
    });
    program.hanging--;
  }

  /** A program is told to stop: what is under way then is worth knowing. */
  noteStop(process: SimProcess, isMine: (key: string) => boolean): void {
    if (process.inFlight > 0) this.coverage.saw("close with a request in flight");
    for (const write of this.ledger.openWrites(process)) {
      if (!isMine(write.key)) continue;
      if (write.kind === "acquire")
        this.coverage.saw(write.key.startsWith(ELECTIONS) ? "stop during acquire" : "lock acquire in flight at close");
      if (write.kind === "renew") this.coverage.saw("abort during renew");
    }
  }

  /** The token by which a lock is held in the store now. */
  tokenAt(key: string): number | undefined {
    const view = viewOf(this.s3.peek(key)?.body);
    return view?.state === "held" ? view.fencingToken : undefined;
  }

  opened(process: SimProcess): void {
    const member = this.#memberOf(process);
    if (member !== undefined) member.isClosed = false;
  }

  /** A program of this process has ended. When it was the last one, nothing of the package may be left (I8). */
  closed(process: SimProcess): void {
    const member = this.#memberOf(process);
    if (member === undefined || !process.isAlive || member.residents.some((p) => p.state !== "off" || p.leftovers > 0)) return;
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
    for (const manager of this.#managers) {
      for (const [name, n] of Object.entries(manager.stats())) sums.set(name, (sums.get(name) ?? 0) + n);
    }
    return sums;
  }

  /** Starts every program that the plan has stopped, on every machine that runs. */
  startAll(): void {
    for (const member of this.members) {
      if (!member.node.process.isAlive) this.#reboot(member);
      for (const resident of member.residents) resident.start();
    }
  }

  #member(plan: NodePlan): Member {
    const { rate, wallOffsetMs, timerEarlyMs } = plan;
    const node = new SimNode(this.world, plan.name, { rate, wallOffsetMs, timerEarlyMs, timerLagMs: TIMER_LAG_MS });
    return { plan, node, programs: [], residents: [], isClosed: false, period: 0, sentInPeriod: 0 };
  }

  #boot(member: Member): void {
    const { process } = member.node;
    const store = new SimStore(process, { s3: this.s3, network: this.network });
    Object.assign(member, { isClosed: false, period: 0, sentInPeriod: 0 });
    member.programs = this.plan.keys.map((key) => new Program(this, process, store, key, member.plan));
    const faces = (this.plan.faces ?? []).filter((face) => face.node === member.plan.name);
    member.residents = [...member.programs, ...faces.map((face) => new FACES[face.kind](this, process, store, face))];
    for (const resident of member.residents) resident.start();
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
        this.#tell(member, () => member.programs.forEach((program) => void program.stepDown()));
        return () => {};
      default:
        return this.#openWindow(window);
    }
  }

  #crash(member: Member): () => void {
    const { process } = member.node;
    if (process.isAlive && this.ledger.openWrites(process).some((w) => w.applied)) this.coverage.saw("crash between PUT and reply");
    this.fenced.dies(process);
    member.node.crash();
    return () => {
      if (!member.node.process.isAlive) this.#reboot(member);
    };
  }

  #stop(member: Member): () => void {
    this.#tell(member, () => member.residents.forEach((r) => r.stop()));
    return () => this.#tell(member, () => member.residents.forEach((r) => r.start()));
  }

  /** A signal reaches a process only when it runs. */
  #tell(member: Member, what: () => void): void {
    member.node.deliver(member.node.process, "answer", what);
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
      if (this.locks.isCut(believer)) continue;
      this.world.fail(
        new Violation("I7", `${describe(believer)} was overtaken by ${by.node.name}${by.generation} while its clocks say that it holds`),
      );
    }
  }

  /** H7: nothing is given back while it is believed in, or under work that has not settled. */
  #releasing(key: string, token: number, by: SimProcess): void {
    const own = this.terms.find(by, key, token);
    // The release of a session frees all that is held through it (rule S11).
    const rest = this.terms.restingOn(by, { key, token }).filter((term) => this.#names(term, key));
    if (rest.length > 0 && own === undefined) this.coverage.saw("session released with its locks");
    for (const term of own === undefined ? rest : [own]) {
      if (term.term.remainingMs > 0) this.fail("H7", `${describe(term)}: the release was sent while it is believed in`);
      if (term.isWorking) this.fail("H7", `${describe(term)}: the release was sent while the work has not settled`);
    }
  }

  /** A write of a task's record was refused, and had not been applied. */
  #refused({ key, kind }: WriteEntry): void {
    if (!key.startsWith(TASKS)) return;
    if (kind === "acquire") this.coverage.saw("tick claimed by another");
    if (kind === "release") this.coverage.saw("late finish of a run refused");
  }

  /** Whether the record of a lock names this session: one that was rewritten with a time of its own is freed by that alone. */
  #names(term: TrackedTerm, member: string): boolean {
    const { current } = this.ledger.history(term.key);
    return current?.fencingToken === term.token && memberKeyOf(current) === member;
  }

  /** S2, H2: what a user is told is held rests on a write that was acknowledged and whose time is not over. */
  #held(tracked: TrackedTerm): void {
    const { base, process } = tracked;
    const parted = process.node.clocksPartedAtMs;
    // What was sent while the wall clock was set wrong may seem older than the write before it.
    if (parted !== undefined && process.node.monotonicMs() - parted < 2 * tracked.ttlMs) return;
    const write = this.ledger.newest(process, base.key, base.token);
    if (write !== undefined && lifetimeLeftMs(write) < -1)
      this.fail(
        "S2",
        `${describe(tracked)}: isHeld() says yes ${(-lifetimeLeftMs(write)).toFixed(1)} ms after the last acknowledged write was over`,
      );
  }

  /** I6: what a loss says is true of the store at that moment, and of the holder's own clocks. */
  #lost(tracked: TrackedTerm): void {
    const { reason, key, token, process, base } = tracked;
    if (!(reason instanceof LeaseLostError)) {
      if (!ConsensusError.is(reason)) this.fail("I5", `${describe(tracked)}: the signal was aborted with ${String(reason)}`);
      return;
    }
    this.coverage.count(`lost: ${reason.reason}`);
    const history = this.ledger.history(key);
    const wrong = (why: string): void =>
      this.fail("I6", `${describe(tracked)}: lost as "${reason.reason}", but ${why} (${reason.message})`);
    if (base.key !== key && this.terms.restingOn(process, base).length > 1) this.coverage.saw("several leases lost with their session");
    if (reason.reason === "overtaken" && history.highestToken <= token && !this.locks.isTaken(tracked))
      wrong("nobody has acquired it since");
    if ((reason.reason === "deleted" || reason.reason === "replaced") && !this.locks.isTaken(tracked)) wrong("nobody else has touched it");
    if (reason.reason !== "expired" && reason.reason !== "frozen") return;
    // After a step of the wall clock a newer write, found applied by a read, may end earlier than an older acknowledged one.
    const parted = process.node.clocksPartedAtMs;
    if (parted !== undefined && process.node.monotonicMs() - parted < tracked.ttlMs) return;
    const write = this.ledger.believed(process, base.key, base.token);
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
    const weight = member.residents.reduce((sum, r) => sum + r.weight, 0);
    const perKey = member.sentInPeriod / Math.max(1, weight);
    this.#mostInPeriod = Math.max(this.#mostInPeriod, perKey);
    const limit = STORM.base + (STORM.perSecond * ttlMs) / 1_000;
    if (perKey > limit) this.fail("I10", `${name} sent ${member.sentInPeriod} requests for ${weight} keys in a ttl: a storm`);
  }

  #countRequest({ operation, process }: Attempt): void {
    const { name } = process.node;
    const add = (to: Map<string, number>, id: string): void => void to.set(id, (to.get(id) ?? 0) + 1);
    if ("key" in operation && this.#elections.has(operation.key)) add(this.#electionRequests, name);
    if (operation.kind === "create" || operation.kind === "replace") add(this.#writes, `${name} ${operation.key}`);
  }

  /** H8: while something is awaited the runtime would not end the process. */
  #checkKeptAlive(): void {
    for (const { node, residents } of this.members) {
      if (!node.isRunning || node.process.isKeptAlive) continue;
      if (residents.length > 0 && residents.every((r) => r.isAwaited)) {
        this.fail(
          "H8",
          `${node.name}${node.process.generation}: everything is awaited, but no timer and no request keeps the process alive`,
        );
      }
    }
  }
}
