import type { Command } from "commander";
import { VERSION } from "../../version.ts";
import type { Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";

export function define(command: Command, run: Run): void {
  command.action(() =>
    run(({ out }) => {
      if (out.json) out.value({ version: VERSION, node: process.version });
      else out.line(VERSION);
      return Promise.resolve(EXIT.ok);
    }),
  );
}
