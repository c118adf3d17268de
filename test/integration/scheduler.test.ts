import { describe, expect, it } from "vitest";
import { freeze } from "../support/freeze.ts";
import { freshBucket, type FreshBucket } from "../support/minio-client.ts";
import { type Program, type ProgramEvent, spawnProgram } from "../support/programs.ts";
import { credentialsEnv, sharedMinio } from "../support/servers.ts";

/** Long enough for a run to live through a machine that stands still for three seconds, short enough to wait for a death: those tests wait side by side. */
const TTL_MS = 8_000;
/** Unchanged for W, looked at within 1.5 W of the last look, and a second for everything else. */
const FOUND_DEAD_MS = 2.5 * TTL_MS * 1.1 + 1_000;

interface Worker {
  readonly node: string;
  readonly program: Program;
}

function worker(bucket: FreshBucket, node: string, more: Readonly<Record<string, string>> = {}): Worker {
  const env = { STORE: bucket.url("app"), NODE: node, OPTIONS: JSON.stringify({ ttlMs: TTL_MS, spreadMs: 200 }), ...more };
  return { node, program: spawnProgram("worker", { env: { ...credentialsEnv(sharedMinio()), ...env } }) };
}

async function ready(...workers: readonly Worker[]): Promise<void> {
  await Promise.all(workers.map(({ program }) => program.event("ready")));
}

function all(workers: readonly Worker[], event: string): ProgramEvent[] {
  return workers.flatMap(({ program }) => program.events.filter((e) => e.event === event)).sort((a, b) => a.atMs - b.atMs);
}

async function until(is: () => boolean, withinMs: number, workers: readonly Worker[]): Promise<void> {
  const end = performance.now() + withinMs;
  while (!is()) {
    if (performance.now() > end)
      throw new Error(`it did not happen within ${withinMs} ms\n${workers.map((w) => w.program.transcript()).join("\n")}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const RETRIED = { TASK: JSON.stringify({ every: "5s", retries: 2 }) };

describe.concurrent("a scheduler in several processes on a real MinIO", () => {
  it("each second's tick runs once, on one of three; one that is stopped by SIGTERM ends by itself", async () => {
    const bucket = await freshBucket(sharedMinio());
    const workers = ["a", "b", "c"].map((node) => worker(bucket, node));
    await ready(...workers);
    await until(() => all(workers, "run").length >= 15, 60_000, workers);
    const ticks = all(workers, "run").map((e) => Number(e["tick"]));
    expect(new Set(ticks).size).toBe(ticks.length);
    const tokens = all(workers, "run").map((e) => Number(e["token"]));
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
    for (const { program } of workers) process.kill(program.pid, "SIGTERM");
    for (const { program } of workers) expect((await program.exit).code).toBe(0);
  });

  it("SIGKILL in the middle of a run: abandoned, and run again elsewhere with a higher token within the bound", async () => {
    const bucket = await freshBucket(sharedMinio());
    const a = worker(bucket, "a", { ...RETRIED, WORK: "long" });
    await ready(a);
    const first = await a.program.event("run");
    const b = worker(bucket, "b", RETRIED);
    await ready(b);
    process.kill(a.program.pid, "SIGKILL");
    const { atMs: diedAt } = await a.program.exit;
    const again = await b.program.event("run");
    expect(again).toMatchObject({ tick: first["tick"], attempt: 2 });
    expect(Number(again["token"])).toBeGreaterThan(Number(first["token"]));
    expect(again.atMs - diedAt).toBeLessThan(3 * FOUND_DEAD_MS);
    expect(await b.program.event("task", undefined, (e) => e["kind"] === "abandoned")).toMatchObject({ attempt: 1 });
  });

  it("SIGSTOP beyond the lease: lost at waking, run elsewhere, the late finish refused", async () => {
    const bucket = await freshBucket(sharedMinio());
    const a = worker(bucket, "a", { ...RETRIED, WORK: "long" });
    await ready(a);
    const first = await a.program.event("run");
    const b = worker(bucket, "b", RETRIED);
    await ready(b);
    freeze(a.program.pid);
    const again = await b.program.event("run");
    expect(again).toMatchObject({ tick: first["tick"], attempt: 2 });
    await b.program.event("task", undefined, (e) => e["kind"] === "succeeded" && e["tick"] === first["tick"]);
    process.kill(a.program.pid, "SIGCONT");
    expect(await a.program.event("aborted")).toMatchObject({ code: "LEASE_LOST", held: false });
    await a.program.event("task", undefined, (e) => e["kind"] === "abandoned");
    const history = (await b.program.ask("history")) as { scheduledAt: string; attempt: number; state: string }[];
    const ofFirst = history.filter((run) => Date.parse(run.scheduledAt) === first["tick"]).map((run) => [run.attempt, run.state]);
    expect(ofFirst).toEqual([
      [2, "succeeded"],
      [1, "abandoned"],
    ]);
  });

  it("SIGSTOP beyond the lease: what it writes at waking is refused where a newer token has written", async () => {
    const bucket = await freshBucket(sharedMinio());
    const a = worker(bucket, "a", { ...RETRIED, WORK: "fenced" });
    await ready(a);
    const first = await a.program.event("run");
    const b = worker(bucket, "b", { ...RETRIED, WORK: "fenced" });
    await ready(b);
    freeze(a.program.pid);
    expect(await b.program.event("wrote", undefined, (e) => e["attempt"] === 2)).toMatchObject({ written: true });
    process.kill(a.program.pid, "SIGCONT");
    expect(await a.program.event("wrote")).toMatchObject({ attempt: 1, token: first["token"], code: "FENCED_OUT" });
  });

  it("trigger from a process that does not run it: done by the one that does, after the run that is under way", async () => {
    const bucket = await freshBucket(sharedMinio());
    const a = worker(bucket, "a", { TASK: JSON.stringify({ every: "4s" }) });
    await ready(a);
    await a.program.event("run");
    const op = worker(bucket, "op", { MODE: "due", TASK: JSON.stringify({ every: "4s" }) });
    await ready(op);
    expect(await op.program.ask("trigger", { here: false }, 60_000)).toMatchObject({ kind: "trigger", state: "succeeded", holder: "a" });
    expect(all([op], "run")).toEqual([]);
  });

  it("runs side by side, on two nodes; one is killed: its runs are tried again, the others go on", async () => {
    const bucket = await freshBucket(sharedMinio());
    const more = { TASK: JSON.stringify({ every: "2s", overlap: "allow", parallel: 4, retries: 5 }), WORK: "long" };
    const a = worker(bucket, "a", more);
    await ready(a);
    await until(() => all([a], "run").length >= 2, 60_000, [a]);
    const b = worker(bucket, "b", more);
    await ready(b);
    process.kill(a.program.pid, "SIGKILL");
    await a.program.exit;
    const mine = all([a], "run").map((e) => [e["tick"], e["attempt"]]);
    await until(() => mine.every(([tick]) => all([b], "run").some((e) => e["tick"] === tick && Number(e["attempt"]) > 1)), 60_000, [b]);
    const names = all([a, b], "run").map((e) => `${String(e["tick"])} ${String(e["attempt"])}`);
    expect(new Set(names).size).toBe(names.length);
    const tokens = all([a, b], "run").map((e) => Number(e["token"]));
    expect(new Set(tokens).size).toBe(tokens.length);
  });

  it("a function that blocks the event loop beyond its lease has lost it at the first look", async () => {
    const bucket = await freshBucket(sharedMinio());
    const a = worker(bucket, "a", { TASK: JSON.stringify({ every: "5s" }), WORK: "block", BLOCK_MS: "10000" });
    await ready(a);
    expect(await a.program.event("looked")).toMatchObject({ held: false, aborted: true });
    await a.program.event("task", undefined, (e) => e["kind"] === "abandoned");
  });

  it("a function that ends its own process: abandoned, and run again elsewhere", async () => {
    const bucket = await freshBucket(sharedMinio());
    const a = worker(bucket, "a", { ...RETRIED, WORK: "exit" });
    await ready(a);
    const first = await a.program.event("run");
    expect((await a.program.exit).code).toBe(3);
    const b = worker(bucket, "b", RETRIED);
    await ready(b);
    expect(await b.program.event("run")).toMatchObject({ tick: first["tick"], attempt: 2 });
  });

  it("cancel from another process reaches the run within a renewal", async () => {
    const bucket = await freshBucket(sharedMinio());
    const a = worker(bucket, "a", { TASK: JSON.stringify({ every: "5s" }), WORK: "long" });
    await ready(a);
    await a.program.event("run");
    const b = worker(bucket, "b", { MODE: "due", TASK: JSON.stringify({ every: "5s" }) });
    await ready(b);
    await b.program.ask("pause");
    await b.program.ask("cancel");
    expect(await a.program.event("aborted", 3 * TTL_MS)).toMatchObject({ code: "LEASE_ENDED", held: true });
    await a.program.event("task", undefined, (e) => e["kind"] === "cancelled");
  });

  it("functions that are called at once run each tick once; one that was killed is recognised by the store's time", async () => {
    const bucket = await freshBucket(sharedMinio());
    const more = { MODE: "due", TASK: JSON.stringify({ every: "2s", retries: 1 }) };
    const workers = ["f", "g"].map((node) => worker(bucket, node, more));
    await ready(...workers);
    // A call in which the server stood still for longer than a request may take says so; the next one comes along.
    const call = async (w: Worker): Promise<void> =>
      void (await w.program
        .ask("run-due", { remainingMs: 5_000 })
        .catch((e: unknown) => expect(e).toMatchObject({ code: "STORE_UNAVAILABLE" })));
    const end = performance.now() + 10_000;
    while (performance.now() < end || all(workers, "run").length < 3) await Promise.all(workers.map((w) => call(w)));
    const ticks = all(workers, "run").map((e) => Number(e["tick"]));
    expect(new Set(ticks).size).toBe(ticks.length);
    const killed = worker(bucket, "k", { ...more, WORK: "deaf" });
    await ready(killed);
    // A call in which nothing is due runs nothing: called until it has begun a run.
    void (async () => {
      while (killed.program.events.every((e) => e.event !== "run")) await call(killed).catch(() => {});
    })();
    const began = await killed.program.event("run");
    process.kill(killed.program.pid, "SIGKILL");
    const [f] = workers;
    await until(
      () => {
        if (f !== undefined) void call(f).catch(() => {});
        return all(workers, "run").some((e) => e["tick"] === began["tick"] && e["attempt"] === 2);
      },
      60_000,
      workers,
    );
  });
});
