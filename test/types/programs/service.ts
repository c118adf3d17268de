/** A service in the manner of NestJS: what is held is injected, opened when the module starts, and closed when it is destroyed. */
import {
  type HoldOptions,
  type LeaseOptions,
  type Lock,
  type LockApi,
  Locks,
  type LocksOptions,
  Manager,
  type ManagerOptions,
  type Running,
  Session,
  type Store,
  type Term,
  type Wiring,
} from "s3-consensus";

export interface ConsensusModuleOptions extends Wiring {
  readonly ttlMs?: number | undefined;
  readonly locks?: LocksOptions["defaults"];
}

/** Services ask for the interface: a test gives them another. */
export class InvoiceService {
  readonly #locks: LockApi;

  constructor(locks: LockApi) {
    this.#locks = locks;
  }

  async pay(id: string, options?: HoldOptions): Promise<number> {
    return await this.#locks.withLock(`invoice/${id}`, options, async (lock) => await this.#book(id, lock));
  }

  async #book(id: string, lock: Lock): Promise<number> {
    await lock.verify();
    return id.length + lock.fencingToken;
  }
}

export class ConsensusModule {
  readonly locks: LockApi<LeaseOptions>;
  readonly manager: Manager<{ readonly version: string }>;
  readonly #options: ConsensusModuleOptions;
  #running: Running | undefined;
  #session: Session | undefined;

  constructor(options: ConsensusModuleOptions) {
    const { ttlMs, locks, ...wiring } = options;
    const election: ManagerOptions<{ readonly version: string }> = { name: "service", ttlMs, metadata: { version: "1" } };
    this.#options = options;
    this.locks = new Locks({ ...wiring, defaults: locks });
    this.manager = new Manager({ ...wiring, ...election });
  }

  async onModuleInit(): Promise<InvoiceService> {
    const { store, node, ttlMs } = this.#options;
    this.#session = await Session.open({ store, node, ttlMs });
    this.#running = this.manager.start({ onElected: async (term: Term) => await this.lead(term) });
    return new InvoiceService(this.#session.locks());
  }

  async lead(term: Term): Promise<void> {
    while (term.isHeld()) await term.verify({ signal: term.signal });
  }

  async onModuleDestroy(): Promise<void> {
    await this.#running?.stop();
    await this.#session?.close();
  }
}

export const forRoot = (store: Store): ConsensusModule => new ConsensusModule({ store, logger: console });
/** Both faces fit where the common one is asked for. */
export const services = (store: Store): readonly InvoiceService[] => [new InvoiceService(new Locks({ store }))];
