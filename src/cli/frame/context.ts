/** What a command has at hand: settings, outputs, log, signals, and the store, opened when it is first asked for. */
import process from "node:process";
import { systemClock } from "../../clock/system.ts";
import { link } from "../../clock/wait.ts";
import { ConfigError } from "../../errors.ts";
import type { Logger } from "../../lease/wiring.ts";
import type { ObjectStore } from "../../store/object-store.ts";
import { logger } from "./log.ts";
import { Output } from "./output.ts";
import type { Settings } from "./settings.ts";
import { Signals } from "./signals.ts";
import { outputGone } from "./streams.ts";

export class Context {
  readonly settings: Settings;
  /** Results. */
  readonly out: Output;
  /** Everything else. */
  readonly err: Output;
  readonly log: Logger;
  #signals: Signals | undefined;
  #unread: AbortController | undefined;

  constructor(settings: Settings) {
    this.settings = settings;
    this.out = new Output(process.stdout, settings.json);
    this.err = new Output(process.stderr, settings.json);
    this.log = logger(this.err, systemClock, settings.logLevel, settings.logFormat);
  }

  /** From the first use on, a signal does not simply end the process any more. */
  get signals(): Signals {
    return (this.#signals ??= new Signals());
  }

  /** For a command that runs only to print: aborts at the first signal, and when nobody reads its standard output any more. */
  get unread(): AbortSignal {
    if (this.#unread === undefined) {
      this.#unread = new AbortController();
      for (const parent of [this.signals.stop, outputGone]) link(parent, this.#unread);
    }
    return this.#unread.signal;
  }

  /** @throws ConfigError when none is named, or its name is wrong. */
  readonly store = async (): Promise<ObjectStore> => {
    const { store } = this.settings;
    if (store === undefined)
      throw new ConfigError("no store is named", [
        'say --store "s3://bucket/prefix?endpoint=…", or set S3_CONSENSUS_STORE, or write "store" into s3-consensus.json',
      ]);
    return (await import("./open-store.ts")).openStore(store);
  };
}

/** Runs the body of a command; what it returns is the exit status. */
export type Run = (body: (context: Context) => Promise<number>) => Promise<void>;
