/** `demo`: kill the leader, another takes over. */
import process from "node:process";
import { Argument, type Command, Option } from "commander";
import { defaultPollMs } from "../../lease/timing.ts";
import { playLive } from "../demo/live/play-live.ts";
import type { Prize } from "../demo/messages.ts";
import { DEMO_TTL } from "../demo/options.ts";
import { play } from "../demo/play.ts";
import { duration, spelled } from "../frame/arguments.ts";
import type { Run } from "../frame/context.ts";

interface Flags {
  readonly script?: boolean | undefined;
  readonly ttl: number;
  readonly poll?: number | undefined;
}

const TEXT = `
Three processes fight for one leadership, or with "lock" for one lock: the holder renews it, the others show who holds it.

On a terminal they are yours. 1 to 9 kill one (kill -9); p pauses the chosen one (SIGSTOP), c lets it go on, s stops it in good order, d cuts it
off from the store and connects it again (not from one at an https:// address); arrows choose; n adds one; q quits. The line in the middle says
whether two ever believed at once.

Without a terminal, or with --script, a story is told: the holder is killed, another takes over; that one is stopped, and the third follows. It
ends with a summary. The exit status is 0 only if everything in it held. Without --store: an S3 server inside the demo.
`;

export function define(command: Command, run: Run): void {
  const { minMs, maxMs, defaultMs } = DEMO_TTL;
  command
    .addArgument(new Argument("[what]", "what they fight for").choices(["election", "lock"]).default("election"))
    .addOption(
      new Option("--ttl <duration>", "how long a leader keeps others out after its last renewal")
        .argParser(duration(minMs, maxMs))
        .default(defaultMs, spelled(defaultMs)),
    )
    .option("--poll <duration>", "how often a follower looks (default: a third of the ttl)", duration(100, maxMs))
    .option("--script", "play the story on a terminal, too")
    .addHelpText("after", TEXT)
    .action((prize: Prize, { ttl: ttlMs, poll, script }: Flags) => {
      // Only a store that was named for this very call: nobody wants a demo on what the environment names.
      const { store } = command.optsWithGlobals<{ readonly store?: string | undefined }>();
      const options = { prize, ttlMs, pollMs: Math.min(poll ?? defaultPollMs(ttlMs), ttlMs), store };
      const byKeys = process.stdin.isTTY && process.stdout.isTTY && script !== true;
      return run(() => (byKeys ? playLive(options) : play(options)));
    });
}
