/** The demo's options, from its command line. Pure. */
import { parseArgs } from "node:util";
import { ConfigError, messageOf } from "../../errors.ts";
import { defaultPollMs, deriveTiming, driftMarginMs } from "../../lease/timing.ts";
import { parseDuration, show, throwFaults } from "../../options.ts";
import { settingsOfUrl } from "../../store/s3-options.ts";
import type { Prize } from "./messages.ts";

export interface DemoOptions {
  readonly prize: Prize;
  readonly ttlMs: number;
  readonly pollMs: number;
  /** A store's URL; `undefined`: the embedded server. */
  readonly store: string | undefined;
}

export const HELP = `Usage: npm run demo -- [--ttl 6s] [--poll 2s] [--store s3://bucket/prefix?endpoint=…]

Three processes campaign for one leadership. The leader is killed (kill -9), another takes over; that one is stopped
cleanly (SIGTERM), and the third follows. Ends with a summary; the exit code is 0 only if everything in it held.

  --ttl     how long a leader keeps others out after its last renewal. Default 6s; 2s to 60s
  --poll    how often a follower looks. Default: a third of the ttl
  --store   any S3 instead of the embedded server. Credentials come from the AWS SDK's own chain
            (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, a role)
  --help    this text

\`s3-consensus demo\` on a terminal gives you the processes themselves, with keys to kill, pause, stop and cut them off.
NO_COLOR is honoured. Ctrl-C ends everything that the demo has started.
`;

/** The ttl that a demo may have, in milliseconds. */
export const DEMO_TTL = { minMs: 2_000, maxMs: 60_000, defaultMs: 6_000 } as const;

/** @returns `undefined` when help was asked for. @throws ConfigError with every fault. */
export function demoOptions(args: readonly string[]): DemoOptions | undefined {
  const { values, positionals } = parsed(args);
  if (values.help === true) return undefined;
  const faults = positionals.map((word) => `unexpected ${show(word)}: see --help`);
  const ttlMs = duration("--ttl", values.ttl ?? "6s", DEMO_TTL.minMs, DEMO_TTL.maxMs, faults);
  const pollMs = values.poll === undefined ? defaultPollMs(ttlMs) : duration("--poll", values.poll, 100, ttlMs, faults);
  if (values.store !== undefined) {
    try {
      settingsOfUrl(values.store);
    } catch (e) {
      faults.push(...(e instanceof ConfigError ? e.faults.map((f) => `--store: ${f}`) : [messageOf(e)]));
    }
  }
  throwFaults("demo", faults);
  return { prize: "election", ttlMs, pollMs, store: values.store };
}

function parsed(args: readonly string[]) {
  const options = {
    ttl: { type: "string" },
    poll: { type: "string" },
    store: { type: "string" },
    help: { type: "boolean", short: "h" },
  } as const;
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (e) {
    throw new ConfigError("demo", [messageOf(e)], { cause: e });
  }
}

function duration(name: string, text: string, minMs: number, maxMs: number, faults: string[]): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms;
  faults.push(`${name} is ${show(text)}: expected a duration from ${minMs}ms to ${maxMs}ms, such as 6s`);
  return maxMs;
}

/** What the verdict measures against. */
export interface Bounds {
  /** Longest time without a leader after a kill -9: the record's ttl, the drift margin, one poll, and a second for everything else. */
  readonly failoverMs: number;
  /** Longest time without a leader after a clean stop: one poll, and the same second. */
  readonly handOverMs: number;
  readonly failoverText: string;
  readonly handOverText: string;
}

export function boundsOf({ ttlMs, pollMs }: Pick<DemoOptions, "ttlMs" | "pollMs">): Bounds {
  const driftMs = driftMarginMs(deriveTiming({ ttlMs }).timing);
  const s = (ms: number): string => (ms / 1000).toFixed(1);
  return {
    failoverMs: ttlMs + driftMs + pollMs + 1000,
    handOverMs: pollMs + 1000,
    failoverText: `ttl ${s(ttlMs)} + drift margin ${s(driftMs)} + poll ${s(pollMs)} + 1 s`,
    handOverText: `poll ${s(pollMs)} + 1 s`,
  };
}
