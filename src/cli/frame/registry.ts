/** Every command by name. Its module is loaded only when it is asked for. */
import type { Command } from "commander";
import type { Run } from "./context.ts";

export interface CommandModule {
  /** Adds arguments, options and the action. */
  define(command: Command, run: Run): void;
}

export interface Entry {
  readonly summary: string;
  readonly group: string;
  load(): Promise<CommandModule>;
}

export const COMMANDS: Readonly<Record<string, Entry>> = {
  lock: { group: "Hold", summary: "run a command while a lock is held", load: () => import("../commands/lock.ts") },
  elect: {
    group: "Hold",
    summary: "take part in an election, and run a command while leading",
    load: () => import("../commands/elect.ts"),
  },
  cron: { group: "Hold", summary: "run commands on a schedule that all nodes share", load: () => import("../commands/cron.ts") },
  status: { group: "Look", summary: "who leads, who holds", load: () => import("../commands/status.ts") },
  ls: { group: "Look", summary: "list what is held", load: () => import("../commands/ls.ts") },
  watch: { group: "Look", summary: "see what is held, as it changes", load: () => import("../commands/watch.ts") },
  show: { group: "Look", summary: "show one record, whole", load: () => import("../commands/show.ts") },
  verify: { group: "Look", summary: "inside a command: is it still held?", load: () => import("../commands/verify.ts") },
  "force-unlock": { group: "Look after it", summary: "free what another holds", load: () => import("../commands/force-unlock.ts") },
  prune: {
    group: "Look after it",
    summary: "delete what ephemeral locks and ended sessions left behind",
    load: () => import("../commands/prune.ts"),
  },
  stepdown: { group: "Look after it", summary: "ask a leader to give leadership back", load: () => import("../commands/stepdown.ts") },
  repair: {
    group: "Look after it",
    summary: "mend a key whose record is damaged, or takes no writes",
    load: () => import("../commands/repair.ts"),
  },
  "accept-regression": {
    group: "Look after it",
    summary: "go on after a record went back behind a known token",
    load: () => import("../commands/accept-regression.ts"),
  },
  doctor: { group: "Look after it", summary: "find out whether a bucket can be trusted", load: () => import("../commands/doctor.ts") },
  demo: { group: "Development", summary: "see a leader die and another take over", load: () => import("../commands/demo.ts") },
  "dev-server": {
    group: "Development",
    summary: "run an S3 server for development, to be broken at will",
    load: () => import("../commands/dev-server.ts"),
  },
  version: { group: "About", summary: "print the version", load: () => import("../commands/version.ts") },
};
