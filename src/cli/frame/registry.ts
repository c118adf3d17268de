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
  version: { group: "About", summary: "print the version", load: () => import("../commands/version.ts") },
};
