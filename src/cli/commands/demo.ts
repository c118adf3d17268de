/** `demo`: kill the leader, another takes over. */
import { type Command, Option } from "commander";
import { defaultPollMs } from "../../lease/timing.ts";
import { DEMO_TTL, HELP } from "../demo/options.ts";
import { play } from "../demo/play.ts";
import { duration, spelled } from "../frame/arguments.ts";
import type { Run } from "../frame/context.ts";

interface Flags {
  readonly ttl: number;
  readonly poll?: number | undefined;
}

export function define(command: Command, run: Run): void {
  const { minMs, maxMs, defaultMs } = DEMO_TTL;
  command
    .addOption(
      new Option("--ttl <duration>", "how long a leader keeps others out after its last renewal")
        .argParser(duration(minMs, maxMs))
        .default(defaultMs, spelled(defaultMs)),
    )
    .option("--poll <duration>", "how often a follower looks (default: a third of the ttl)", duration(100, maxMs))
    .addHelpText(
      "after",
      `\n${HELP.slice(HELP.indexOf("Three processes"), HELP.indexOf("  --ttl"))}Without --store: an S3 server inside the demo.`,
    )
    .action(({ ttl: ttlMs, poll }: Flags) => {
      // Only a store that was named for this very call: nobody wants a demo on what the environment names.
      const { store } = command.optsWithGlobals<{ readonly store?: string | undefined }>();
      return run(() => play({ ttlMs, pollMs: Math.min(poll ?? defaultPollMs(ttlMs), ttlMs), store }));
    });
}
