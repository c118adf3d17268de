/** Nobody looks for a while, because all processes are dead, or the store is: what runs then, by each policy, on a real MinIO. */
import { describe, expect, it } from "vitest";
import { type FreshBucket, freshBucket } from "../support/minio-client.ts";
import { type Program, type ProgramEvent, spawnProgram } from "../support/programs.ts";
import { credentialsEnv, type S3Server, sharedMinio, startMinio } from "../support/servers.ts";

const EVERY_MS = 8_000;
const GRACE_MS = 3_000;

function start(server: S3Server, bucket: FreshBucket, node: string, missed: unknown): Program {
  const env = {
    STORE: bucket.url("app"),
    NODE: node,
    OPTIONS: JSON.stringify({ ttlMs: 3_000, spreadMs: 200 }),
    TASK: JSON.stringify({ every: `${EVERY_MS / 1000}s`, graceMs: GRACE_MS, missed }),
  };
  return spawnProgram("worker", { env: { ...credentialsEnv(server), ...env } });
}

const tickOf = (run: ProgramEvent): number => Number(run["tick"]);

/** One run for all that was missed since `last`: up to its own tick, or up to the one before, where its own has just come and is not late. */
function expectMissed(run: ProgramEvent, last: number): void {
  const ticks = (tickOf(run) - last) / EVERY_MS;
  expect([ticks, ticks - 1]).toContain(run["missed"]);
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

describe("all processes are killed, and one is started again after three ticks", () => {
  const down = async (
    missed: unknown,
  ): Promise<{ readonly last: number; readonly runs: readonly ProgramEvent[]; readonly program: Program }> => {
    const bucket = await freshBucket(sharedMinio());
    const before = start(sharedMinio(), bucket, "a", missed);
    const last = tickOf(await before.event("run", 60_000));
    await before.kill();
    // Past the third tick by more than the grace, and well before the fourth.
    await pass(3 * EVERY_MS + GRACE_MS + 500 - ((performance.timeOrigin + performance.now() - last) % EVERY_MS));
    const program = start(sharedMinio(), bucket, "b", missed);
    const runs = [await program.event("run", 60_000), await program.event("run", 60_000), await program.event("run", 60_000)];
    return { last, runs, program };
  };

  it("skip: none of them, and the history says how many; once: one for all; all with max 2: the newest two, oldest first", async () => {
    const [skip, once, all] = await Promise.all([down("skip"), down("once"), down({ all: { max: 2, windowMs: 600_000 } })]);
    // A machine that is slow to start a process misses one more: what is missed are all ticks since the last run, up to the newest that is late.
    for (const { runs, last } of [skip, once, all]) for (const run of runs) expect((tickOf(run) - last) % EVERY_MS).toBe(0);

    const [firstOfSkip] = skip.runs;
    expect(firstOfSkip).toMatchObject({ missed: 0 });
    const history = (await skip.program.ask("history")) as { state: string; missed: number; scheduledAt: string }[];
    const missed = history.find(({ state }) => state === "missed");
    expect(missed).toMatchObject({ scheduledAt: new Date(skip.last + EVERY_MS).toISOString() });
    expect(missed?.missed).toBe((tickOf(firstOfSkip as ProgramEvent) - skip.last) / EVERY_MS - 1);
    expect(missed?.missed).toBeGreaterThanOrEqual(3);

    const [forAll, next] = once.runs as [ProgramEvent, ProgramEvent];
    expectMissed(forAll, once.last);
    expect(Number(forAll["missed"])).toBeGreaterThanOrEqual(3);
    expect(next).toMatchObject({ missed: 0, tick: tickOf(forAll) + EVERY_MS });

    const [older, newer, onTime] = all.runs as [ProgramEvent, ProgramEvent, ProgramEvent];
    expect(tickOf(newer) - tickOf(older)).toBe(EVERY_MS);
    expect(Number(older["missed"])).toBe((tickOf(newer) - all.last) / EVERY_MS);
    expect(newer["missed"]).toBe(1);
    expect(onTime).toMatchObject({ missed: 0, tick: tickOf(newer) + EVERY_MS });
  });
});

describe("the store is killed over two ticks, and started again", () => {
  it("what was missed is run late, once; nobody floods the store at its return", async () => {
    const server = await startMinio();
    const bucket = await freshBucket(server);
    const nodes = ["a", "b", "c"].map((node) => start(server, bucket, node, "once"));
    const runs = (): ProgramEvent[] => nodes.flatMap(({ events }) => events.filter((e) => e.event === "run"));
    const wait = async (is: () => boolean): Promise<void> => {
      for (const end = performance.now() + 90_000; !is(); await pass(20)) if (performance.now() > end) throw new Error("it did not happen");
    };
    await Promise.all(nodes.map((node) => node.event("ready", 60_000)));
    await wait(() => runs().length > 0);
    const last = Math.max(...runs().map(tickOf));
    await server.kill();
    await pass(last + 2 * EVERY_MS + GRACE_MS + 1_000 - (performance.timeOrigin + performance.now()));
    const sent = async (): Promise<number> => {
      const all = (await Promise.all(nodes.map((node) => node.ask("requests")))) as Record<string, number>[];
      return all.reduce((sum, stats) => sum + (stats["get"] ?? 0) + (stats["put"] ?? 0) + (stats["list"] ?? 0), 0);
    };
    await server.restart();
    const before = await sent();
    await wait(() => runs().some((run) => tickOf(run) > last));
    // From the return to the run, and a while after it: a few for each node, whatever was waiting.
    await pass(1_000);
    expect((await sent()) - before).toBeLessThan(60);
    const late = runs().find((run) => tickOf(run) > last);
    expect(Number(late?.["missed"])).toBeGreaterThanOrEqual(2);
    expectMissed(late as ProgramEvent, last);
    await wait(() => runs().some((run) => tickOf(run) > tickOf(late as ProgramEvent)));
    const ticks = runs().map(tickOf);
    expect(new Set(ticks).size).toBe(ticks.length);
  });
});
