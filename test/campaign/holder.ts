/**
 * A holder of the campaign: a process of its own that runs the real `Manager` from the built package, once for each election, and while it leads
 * works on the fenced resource. It imports nothing of the tests, so that it can be run beside another build of the package.
 *
 * What it says, as JSON lines on standard output, is stamped with nanoseconds of the one clock that all processes of the machine share.
 */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import process from "node:process";
import { createInterface } from "node:readline";
import { type ConsensusEvent, Manager, s3Store, type Takeover, type Term } from "s3-consensus";

interface Election {
  readonly name: string;
  readonly ttlMs: number;
  readonly pollMs: number;
  readonly takeover: Takeover;
}

interface HolderConfig {
  readonly store: string;
  readonly node: string;
  readonly elections: readonly Election[];
  /** Where the fenced resource listens. */
  readonly resource: string;
  /** Given where the process's own clocks run at a false rate: what to add to the machine's uptime, in nanoseconds. */
  readonly uptimeOffsetNs?: string | undefined;
}

const config = JSON.parse(process.env["HOLDER"] ?? "{}") as HolderConfig;

/** How often belief is looked at. */
const SAMPLE_MS = 10;
/** Between the check and its effect, which is where a stopped process does harm; and between two pieces of work. */
const CHECK_TO_EFFECT_MS = 70;
const REST_MS = 30;

const agent = new Agent({ keepAlive: true });
const terms = new Map<string, Term>();
const stop = new AbortController();

/** The kernel's own count is cut to steps of so much, but no library stands between it and us. */
const UPTIME_STEP_MS = 10;
const blurMs = config.uptimeOffsetNs === undefined ? undefined : UPTIME_STEP_MS;

function trueNs(): bigint {
  if (config.uptimeOffsetNs === undefined) return process.hrtime.bigint();
  const [seconds = "0", hundredths = "0"] = (readFileSync("/proc/uptime", "utf8").split(" ")[0] ?? "").split(".");
  return BigInt(seconds) * 1_000_000_000n + BigInt(hundredths) * 10_000_000n + BigInt(config.uptimeOffsetNs);
}

function say(event: string, fields: Readonly<Record<string, unknown>>, atNs = trueNs()): void {
  process.stdout.write(`${JSON.stringify({ event, at: atNs.toString(), ...fields })}\n`);
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

/** The time is read before the look: a process that is stopped between the two must not claim a belief that it no longer had. */
function sample(key: string, term: Term): void {
  const at = trueNs();
  if (term.isHeld()) say("belief", { key, token: term.fencingToken, blurMs }, at);
}

function writeToResource(key: string, token: number): Promise<void> {
  return new Promise((resolve) => {
    const url = `${config.resource}/?key=${encodeURIComponent(key)}&token=${token}&node=${encodeURIComponent(config.node)}`;
    const outgoing = request(url, { method: "POST", agent, timeout: 2000 }, (answer) => answer.resume().once("close", resolve));
    outgoing.once("timeout", () => outgoing.destroy());
    outgoing.once("error", () => resolve());
    outgoing.end();
  });
}

async function work(key: string, term: Term): Promise<void> {
  terms.set(key, term);
  say("elected", { key, token: term.fencingToken });
  while (!term.signal.aborted) {
    if (!term.isHeld()) break;
    await pass(CHECK_TO_EFFECT_MS);
    await writeToResource(key, term.fencingToken);
    await pass(REST_MS);
  }
  terms.delete(key);
}

function tell(event: ConsensusEvent): void {
  if (event.type === "acquired" || event.type === "lost" || event.type === "released")
    say(event.type, { key: event.lease.key, token: event.lease.fencingToken, why: event.type === "lost" ? event.error.reason : undefined });
}

async function take(election: Election, store: ReturnType<typeof s3Store>): Promise<void> {
  const manager = new Manager({ store, node: config.node, onEvent: tell, ...election });
  while (!stop.signal.aborted) {
    try {
      await manager.run(
        {
          onElected: (term) => work(term.key, term),
          onDemoted: ({ term, reason }) =>
            say("demoted", { key: term.key, token: term.fencingToken, code: reason.code, why: reason.reason }),
        },
        { signal: stop.signal },
      );
    } catch (error) {
      say("failed", { name: election.name, message: error instanceof Error ? `${error.name}: ${error.message}` : String(error) });
      if (!stop.signal.aborted) await pass(300);
    }
  }
}

const store = s3Store(config.store);
const sampler = setInterval(() => {
  for (const [key, term] of terms) sample(key, term);
}, SAMPLE_MS);
const commands = createInterface({ input: process.stdin });
commands.on("line", (line) => {
  if (line === "stop") stop.abort();
});
// The coordinator is gone: so is the reason to run.
commands.once("close", () => {
  if (!stop.signal.aborted) process.exit(0);
});

say("ready", { pid: process.pid });
await Promise.all(config.elections.map((election) => take(election, store)));
clearInterval(sampler);
commands.close();
process.stdin.destroy();
agent.destroy();
// From here on nothing of ours keeps the process alive. What still does is a leak, and the coordinator sees it by the process that doesn't end.
say("stopped", { resources: process.getActiveResourcesInfo() });
