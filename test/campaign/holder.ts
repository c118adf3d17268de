/**
 * A holder of the campaign: a process of its own that runs the real `Manager` from the built package, once for each election, takes locks again and
 * again, by themselves and through a session, and while it leads or holds works on the fenced resource. It imports nothing of the tests, so that it can be run beside another build of the package.
 *
 * What it says, as JSON lines on standard output, is stamped with nanoseconds of the one clock that all processes of the machine share.
 */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import process from "node:process";
import { createInterface } from "node:readline";
import { ConsensusError, type ConsensusEvent, type Lease, Locks, Manager, s3Store, Session, type Takeover } from "s3-consensus";

interface Election {
  readonly name: string;
  readonly ttlMs: number;
  readonly pollMs: number;
  readonly takeover: Takeover;
  /** What is contended for. Default: an election. */
  readonly face?: "election" | "lock" | "session" | undefined;
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

/** How often a lock is worked under before it is given back. */
const PIECES_UNDER_A_LOCK = 12;
/** What a call for a lock may end with while everything goes wrong. */
const EXPECTED: readonly string[] = ["LEASE_LOST", "LEASE_ENDED", "LOCK_HELD", "STORE_UNAVAILABLE"];

const LONG_WAIT_MS = 60_000;

const agent = new Agent({ keepAlive: true });
const terms = new Map<string, Lease>();
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
function sample(key: string, term: Lease): void {
  const at = trueNs();
  if (term.isHeld()) say("belief", { key, token: term.fencingToken, blurMs }, at);
}

/** Opens the resource under a token, or writes to it. @returns the number that stands there, or nothing where it was refused or never answered. */
function askResource(key: string, token: number, value?: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const what = value === undefined ? "" : `&value=${value}`;
    const url = `${config.resource}/?key=${encodeURIComponent(key)}&token=${token}&node=${encodeURIComponent(config.node)}${what}`;
    const outgoing = request(url, { method: "POST", agent, timeout: 2000 }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      answer.once("close", () => resolve(answer.statusCode === 200 ? Number(text) : undefined));
    });
    outgoing.once("timeout", () => outgoing.destroy());
    outgoing.once("error", () => resolve(undefined));
    outgoing.end();
  });
}

/** Counts up. What is not known to be written may be written late: then nothing more is written under this token. */
async function work(key: string, lease: Lease, pieces: number): Promise<void> {
  terms.set(key, lease);
  say("elected", { key, token: lease.fencingToken });
  let count = await askResource(key, lease.fencingToken);
  for (let i = 0; i < pieces && count !== undefined && !lease.signal.aborted; i++) {
    if (!lease.isHeld()) break;
    await pass(CHECK_TO_EFFECT_MS);
    count = await askResource(key, lease.fencingToken, count + 1);
    await pass(REST_MS);
  }
  terms.delete(key);
}

type Store = ReturnType<typeof s3Store>;

/** What is told of one lease, by the key of its record; a lock is told of by its name. */
function tellAs(key: string, name = key): (event: ConsensusEvent) => void {
  return (event) => {
    if ((event.type === "acquired" || event.type === "lost" || event.type === "released") && event.lease.key === name)
      say(event.type, { key, token: event.lease.fencingToken, why: event.type === "lost" ? event.error.reason : undefined });
  };
}

async function lead({ name, ttlMs, pollMs, takeover }: Election, store: Store): Promise<void> {
  const manager = new Manager({ store, node: config.node, onEvent: tellAs(`locks/elections/${name}`), name, ttlMs, pollMs, takeover });
  await manager.run(
    {
      onElected: (term) => work(term.key, term, Infinity),
      onDemoted: ({ term, reason }) => say("demoted", { key: term.key, token: term.fencingToken, code: reason.code, why: reason.reason }),
    },
    { signal: stop.signal, onDone: "release" },
  );
}

async function lockAgain({ name, ttlMs, takeover }: Election, store: Store): Promise<void> {
  const onEvent = tellAs(`locks/locks/${name}`, name);
  const locks = new Locks({ store, node: config.node, onEvent, defaults: { ttlMs, takeover } });
  while (!stop.signal.aborted) await lockOnce(locks, name);
}

async function lockThroughSessions({ name, ttlMs }: Election, store: Store): Promise<void> {
  while (!stop.signal.aborted) {
    const onEvent = tellAs(`locks/locks/${name}`, name);
    const session = await Session.open({ store, node: config.node, ttlMs, signal: stop.signal, onEvent });
    while (!session.signal.aborted) await lockOnce(session.locks(), name);
    await session.close();
  }
}

async function lockOnce(locks: Pick<Locks, "withLock">, name: string): Promise<void> {
  try {
    await locks.withLock(name, { signal: stop.signal, waitMs: LONG_WAIT_MS }, (lock) =>
      work(`locks/locks/${name}`, lock, PIECES_UNDER_A_LOCK),
    );
  } catch (error) {
    if (stop.signal.aborted) return;
    if (!ConsensusError.is(error) || !EXPECTED.includes(error.code)) throw error;
  }
  await pass(REST_MS);
}

const FACES = { election: lead, lock: lockAgain, session: lockThroughSessions } as const;

/** Again and again, whatever it ends with. */
async function take(election: Election, store: Store): Promise<void> {
  while (!stop.signal.aborted) {
    try {
      await FACES[election.face ?? "election"](election, store);
    } catch (error) {
      if (stop.signal.aborted) return;
      const expected = election.face === "session" && ConsensusError.is(error) && EXPECTED.includes(error.code);
      if (!expected)
        say("failed", { name: election.name, message: error instanceof Error ? `${error.name}: ${error.message}` : String(error) });
      await pass(300);
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
