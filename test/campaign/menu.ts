/** Everything that is done to the holders, their network, their server, their clocks and their records. */
import type { NetworkFault } from "../../src/testing/index.ts";
import { falseRate, wallShift, wallShiftMethod } from "../support/wall-clock.ts";
import { pass, until } from "./arena.ts";
import type { Field } from "./field.ts";
import { failoverBoundMs, watchMs } from "./timing.ts";
import type { HolderProcess } from "./holder-process.ts";
import { tamper } from "./tamper.ts";
import { LEASES, nowMs } from "./tap.ts";

export interface Trouble {
  readonly name: string;
  /** Two troubles of one lane are never at work at the same time. */
  readonly lane: "process" | "network" | "server" | "clock" | "record";
  /** Less time than this proves nothing. */
  readonly leastMs: number;
  /** False for what others could spoil: a record that was put back is safe only among processes that remember (rule H10). */
  readonly mixes: boolean;
  /** Makes trouble for about this long, and leaves nothing behind but what `calm` takes back. */
  run(field: Field, forMs: number): Promise<void>;
}

const NO_FAKETIME = "libfaketime is not installed (apt-get install faketime)";

export function menu(): readonly Trouble[] {
  return [
    { name: "pause", lane: "process", leastMs: 7000, mixes: true, run: repeatedly(pause) },
    { name: "kill -9", lane: "process", leastMs: 7000, mixes: true, run: repeatedly(kill) },
    { name: "pause between forward and reply", lane: "process", leastMs: 5000, mixes: true, run: repeatedly(pauseInReply) },
    { name: "stop", lane: "process", leastMs: 3000, mixes: true, run: repeatedly(stopOne) },
    { name: "server kill -9 in a write", lane: "server", leastMs: 4000, mixes: true, run: repeatedly(killServer) },
    { name: "server stop", lane: "server", leastMs: 4000, mixes: true, run: repeatedly(stopServer) },
    { name: "server freeze", lane: "server", leastMs: 4000, mixes: true, run: repeatedly(freezeServer) },
    network("lost request", (random) => ({ kind: "lose-request", hang: random() < 0.5, probability: 0.4 })),
    network("lost reply", (random) => ({ kind: "lose-reply", hang: random() < 0.5, probability: 0.4 })),
    network("duplicate", (random, ttlMs) => ({
      kind: "duplicate",
      delayMs: random() * random() * 2 * ttlMs,
      answer: random() < 0.5 ? "first" : "second",
      probability: 0.5,
    })),
    network("late", (random, ttlMs) => ({
      kind: "late",
      method: "PUT",
      delayMs: random() * 3 * ttlMs,
      hang: random() < 0.5,
      probability: 0.4,
    })),
    network("slow", (random, ttlMs) => ({
      kind: "delay",
      delayMs: random() * random() * ttlMs,
      side: random() < 0.5 ? "request" : "reply",
      probability: 0.6,
    })),
    ...[500, 503, 409, 429].map((status) =>
      network(`status ${status}`, (random) => ({ kind: "status", status, executed: status >= 500 && random() < 0.5, probability: 0.5 })),
    ),
    network("half body", () => ({ kind: "half-body", probability: 0.5 })),
    network("black hole", (random) => ({ kind: "black-hole", executed: random() < 0.5 })),
    { name: "connections reset", lane: "network", leastMs: 2000, mixes: true, run: repeatedly(resetConnections) },
    ...[0.92, 1.08].map((rate): Trouble => ({
      name: `clock rate ×${rate}`,
      lane: "clock",
      leastMs: 9000,
      mixes: false,
      run: (c, ms) => runClocks(c, ms, rate),
    })),
    { name: "wall clock jumps", lane: "clock", leastMs: 9000, mixes: false, run: jumpWalls },
    { name: "record rolled back", lane: "record", leastMs: 7000, mixes: false, run: repeatedly((c) => tamper(c, "record rolled back")) },
    { name: "record deleted", lane: "record", leastMs: 7000, mixes: false, run: repeatedly((c) => tamper(c, "record deleted")) },
    {
      name: "record replaced by garbage",
      lane: "record",
      leastMs: 7000,
      mixes: false,
      run: repeatedly((c) => tamper(c, "record replaced by garbage")),
    },
  ];
}

function repeatedly(once: (field: Field, leftMs: number) => Promise<void>): Trouble["run"] {
  return async (field, forMs) => {
    const endMs = nowMs() + forMs;
    do {
      await once(field, endMs - nowMs());
      await pass(100 + field.random() * 400);
    } while (nowMs() < endMs);
  };
}

function network(name: string, make: (random: () => number, ttlMs: number) => NetworkFault): Trouble {
  const once = async (field: Field, leftMs: number): Promise<void> => {
    const { random, arena } = field;
    const ttlMs = field.pick(arena.options.elections).ttlMs;
    const all = random() < 0.3;
    const struck = arena.proxies.filter(() => all || random() < 0.5);
    const handles = struck.map((proxy) => proxy.faults.add({ ...make(random, ttlMs), key: LEASES }));
    await pass(Math.min(leftMs, (0.3 + 1.7 * random()) * ttlMs));
    for (const handle of handles) {
      field.count(name, handle.hits);
      handle.remove();
    }
  };
  return { name, lane: "network", leastMs: 2500, mixes: true, run: repeatedly(once) };
}

async function resetConnections(field: Field): Promise<void> {
  const { arena, random } = field;
  for (const proxy of arena.proxies) if (random() < 0.5) proxy.resetConnections();
  field.count("connections reset");
}

/** Long enough for another to take over, half of the time. */
async function pause(field: Field, leftMs: number): Promise<void> {
  await field.withHolder(async (holder) => {
    const { ttlMs } = field.pick(field.arena.options.elections);
    const long = field.random() < 0.5;
    const led = field.ledBy(holder);
    const bounds = led.map((key) => failoverBoundMs(field.arena.election(key)));
    const forMs = long ? Math.max(1.5 * ttlMs, ...bounds) : (0.2 + 4.8 * field.random() * field.random()) * ttlMs;
    field.count("pause");
    const atMs = nowMs();
    holder.freeze();
    const measured = long && leftMs > 0 ? field.measureFailover("pause", led, atMs, holder) : Promise.resolve();
    await pass(forMs);
    holder.thaw();
    await measured;
  });
}

async function kill(field: Field): Promise<void> {
  await field.withHolder(async (holder) => {
    field.count("kill -9");
    const led = field.ledBy(holder);
    const atMs = nowMs();
    await field.arena.kill(holder);
    const measured = field.measureFailover("kill -9", led, atMs, holder);
    await pass(field.random() * field.pick(field.arena.options.elections).ttlMs);
    holder.start();
    await measured;
  });
}

/** Its write is carried out, and it is stopped before it can read the answer. */
async function pauseInReply(field: Field): Promise<void> {
  await field.withHolder(async (holder) => {
    const handle = holder.proxy.faults.add({ kind: "delay", side: "reply", method: "PUT", key: LEASES, times: 1 });
    const held = await until(() => handle.held > 0, 3000);
    if (held !== undefined) {
      field.count("pause between forward and reply");
      holder.freeze();
      await handle.deliver();
      const { ttlMs } = field.pick(field.arena.options.elections);
      await pass((0.2 + 2 * field.random()) * ttlMs);
      holder.thaw();
    }
    handle.remove();
    await handle.deliver();
  });
}

export async function stopOne(field: Field): Promise<void> {
  await field.withHolder(async (holder) => {
    field.count("stop");
    await field.arena.stop(holder);
    holder.start();
  });
}

/** Within a few milliseconds of a conditional write: before it, in it, or just after (rules W6, W7). */
async function killServer(field: Field): Promise<void> {
  const { server, random, arena } = field;
  if (!(await arena.tap.nextWrite(2000))) return;
  await pass(random() * 4);
  field.count("server kill -9 in a write");
  await server.kill();
  await pass(random() * 1500);
  await server.restart();
  await pass(500 + random() * 1500);
}

async function stopServer(field: Field): Promise<void> {
  const { server, random } = field;
  field.count("server stop");
  await server.stop();
  await pass(random() * 1000);
  await server.restart();
  await pass(500 + random() * 1500);
}

async function freezeServer(field: Field): Promise<void> {
  const { server, random } = field;
  field.count("server freeze");
  server.freeze();
  await pass((0.2 + 2 * random()) * field.pick(field.arena.options.elections).ttlMs);
  server.thaw();
  await pass(500 + random() * 1500);
}

/** Half of the holders live with clocks that are wrong by nearly as much as is promised to be borne; the others have right ones. */
async function runClocks(field: Field, forMs: number, rate: number): Promise<void> {
  const env = falseRate(rate);
  if (env === undefined) return field.leaveOut(`clock rate ×${rate}`, NO_FAKETIME);
  const name = `clock rate ×${rate}`;
  await field.withOtherClocks(
    () => ({ env, rate: true }),
    async (holders) => {
      field.count(name, holders.length);
      const endMs = nowMs() + forMs;
      // A false clock matters where others wait: so the leaders come and go.
      while (nowMs() < endMs) {
        await pause(field, 0);
        await pass(300);
      }
    },
  );
}

async function jumpWalls(field: Field, forMs: number): Promise<void> {
  if (wallShiftMethod !== "libfaketime") return field.leaveOut("wall clock jumps", NO_FAKETIME);
  const shifts = new Map<HolderProcess, ReturnType<typeof wallShift>>();
  await field.withOtherClocks(
    (holder) => {
      const shift = wallShift(0);
      shifts.set(holder, shift);
      return { env: shift.env, rate: false };
    },
    async (holders) => {
      const endMs = nowMs() + forMs;
      while (nowMs() < endMs) {
        // 15 minutes off, and the server would refuse the signatures.
        shifts.get(field.pick(holders))?.set(field.pick([-600_000, 0, 600_000]));
        field.count("wall clock jumps");
        await pass(500 + field.random() * 2 * watchMs(field.pick(field.arena.options.elections)));
      }
    },
  );
}
