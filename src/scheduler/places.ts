/** The places of a task whose runs may be side by side, as one process sees them: a lease for each, taken before a run is claimed. */
import type { Tenancy, TenancyHooks } from "../lease/tenancy.ts";
import { carriedOver, decodePlace, encodePlace, type Fate, fateOf, placeKey } from "./open-runs.ts";
import { RunLease, type RunLeaseContext } from "./run-lease.ts";
import type { OpenRun, RunEntry } from "./task-state.ts";

/** Looks at a time. */
const PARALLEL = 8;
/** Places that one claim looks at. */
const TRIES = 4;

export class Places {
  readonly #taskKey: string;
  readonly #context: RunLeaseContext;
  readonly #leases = new Map<number, RunLease>();

  constructor(taskKey: string, context: RunLeaseContext) {
    this.#taskKey = taskKey;
    this.#context = context;
  }

  at(place: number): RunLease {
    let lease = this.#leases.get(place);
    if (lease === undefined) this.#leases.set(place, (lease = new RunLease(placeKey(this.#taskKey, place), this.#context)));
    return lease;
  }

  /** One GET for each run that is not known to be over, and is not of this process. @throws what hinders it. */
  async look(open: readonly OpenRun[], signal: AbortSignal): Promise<void> {
    const rest = open.filter((run) => this.#isOpen(run));
    const worker = async (): Promise<void> => {
      for (let run = rest.shift(); run !== undefined; run = rest.shift()) await this.at(run.place).look(signal);
    };
    await Promise.all(Array.from({ length: Math.min(PARALLEL, rest.length) }, worker));
  }

  #isOpen(run: OpenRun): boolean {
    const lease = this.at(run.place);
    const record = lease.seen?.record;
    return !lease.isRunning && !(record !== undefined && record.fencingToken >= run.token && record.state === "released");
  }

  fates(open: readonly OpenRun[]): ReadonlyMap<number, Fate> {
    return new Map(open.map((run) => [run.token, this.#fateOf(run)]));
  }

  #fateOf(run: OpenRun): Fate {
    const lease = this.at(run.place);
    // Nothing was seen, and nothing said that there is nothing: it may well run.
    if (lease.seen === undefined && !lease.view.absent) return { kind: "running" };
    return fateOf(run, lease.key, lease.seen?.record, lease.standing());
  }

  /** How the run ended that was asked for by this number, as its place was last seen. */
  endOf(open: readonly OpenRun[], asked: number): RunEntry | undefined {
    const run = open.find((one) => one.asked === asked);
    const fate = run && this.#fateOf(run);
    return fate?.kind === "ended" ? fate.as.run : undefined;
  }

  /**
   * Takes the first of these places that nobody is in: a lease there may be of one who is just claiming, or died while he did. What the record does not yet
   * say of the run before it is kept in it. @returns `undefined` when another was faster, or none is free. @throws what hindered it.
   */
  async take(places: readonly number[], run: RunEntry, o: TakeOptions): Promise<Taken | undefined> {
    for (const place of places.slice(0, TRIES)) {
      const lease = this.at(place);
      if (lease.seen === undefined) await lease.look(o.signal);
      if (lease.standing() === "held") await lease.look(o.signal);
      if (lease.standing() === "held") continue;
      // What is no run's is left as it is: decoding throws.
      const before =
        lease.seen === undefined ? [] : carriedOver(lease.seen.record, decodePlace(lease.key, lease.seen.record.payload), o.record);
      if (o.remainingMs !== undefined) lease.forInvocation(o.remainingMs);
      const token = Math.max(o.record.token + 1, lease.nextToken);
      const entry = { ...run, token };
      const tenancy = await lease.take(encodePlace({ run: entry, before }), o.hooks, token);
      if (tenancy !== undefined) return { place, lease, tenancy, entry };
      await lease.look(o.signal);
      return undefined;
    }
    return undefined;
  }
}

export interface TakeOptions {
  /** The task's record as it was judged: the runs that it lists, and its token. One row of tokens goes over it and all places. */
  readonly record: { readonly open: readonly OpenRun[]; readonly token: number };
  readonly hooks: TenancyHooks;
  /** For an invocation: what it has left. */
  readonly remainingMs: number | undefined;
  readonly signal: AbortSignal;
}

export interface Taken {
  readonly place: number;
  readonly lease: RunLease;
  readonly tenancy: Tenancy;
  readonly entry: RunEntry;
}
