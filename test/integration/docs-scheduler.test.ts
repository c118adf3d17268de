/**
 * The two programs of docs/scheduler.md, run as printed: `test/programs/docs-container.ts` and `docs-function.ts` are those texts, letter by letter. The
 * server's clock and the programs' are moved to just before a tick.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/clock/system.ts";
import { decodeRecord } from "../../src/record/codec.ts";
import { decodeState, type TaskState } from "../../src/scheduler/task-state.ts";
import { type FakeS3, fakeS3 } from "../../src/testing/index.ts";
import { whenFinished } from "../support/finish.ts";
import { spawnProgram, type Program } from "../support/programs.ts";
import { type WallShift, wallShift } from "../support/wall-clock.ts";

const ROOT = join(import.meta.dirname, "../..");
const printed = [...readFileSync(join(ROOT, "docs/scheduler.md"), "utf8").matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = ""]) => code);

interface Stage {
  readonly server: FakeS3;
  readonly wall: WallShift;
  /** The wall clock of the server and of the programs. */
  now(): number;
  /** Moves it. */
  moveTo(atMs: number): void;
  start(program: string): Program;
  state(task: string): TaskState | undefined;
}

async function stage(): Promise<Stage> {
  const wall = wallShift();
  let shiftMs = 0;
  const now = (): number => systemClock.wallMs() + shiftMs;
  const server = await fakeS3({ buckets: ["jobs"], clock: { ...systemClock, wallMs: now } });
  whenFinished(() => server.close());
  const env = {
    AWS_ENDPOINT_URL_S3: server.endpoint,
    AWS_ACCESS_KEY_ID: "minioadmin",
    AWS_SECRET_ACCESS_KEY: "minioadmin",
    AWS_REGION: "us-east-1",
  };
  return {
    server,
    wall,
    now,
    moveTo(atMs) {
      shiftMs = atMs - systemClock.wallMs();
      wall.set(shiftMs);
    },
    start: (program) => spawnProgram(program, { env, wall }),
    state(task) {
      const key = `prod/locks/tasks/${task}`;
      const body = server.bucket("jobs").peek(key)?.body;
      return body === undefined ? undefined : decodeState(key, decodeRecord(key, body).payload);
    },
  };
}

async function until<T>(look: () => T | undefined, program: Program, withinMs = 90_000): Promise<T> {
  const end = performance.now() + withinMs;
  for (;;) {
    const seen = look();
    if (seen !== undefined) return seen;
    if (performance.now() > end) throw new Error(`it did not happen within ${withinMs} ms\n${program.transcript()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The next time that it is three o'clock in the morning in Berlin, which has no odd day in the next hour. */
function threeInBerlin(afterMs: number): number {
  const hour = new Intl.DateTimeFormat("en", { hour: "numeric", hourCycle: "h23", timeZone: "Europe/Berlin" });
  for (let at = Math.ceil(afterMs / 3_600_000) * 3_600_000; ; at += 3_600_000) if (hour.format(at) === "03") return at;
}

describe.concurrent("the programs of docs/scheduler.md", () => {
  it.each([
    ["docs-container", 0],
    ["docs-function", 1],
  ])("%s.ts is what is printed", (name, i) => {
    expect(readFileSync(join(ROOT, `test/programs/${name}.ts`), "utf8")).toBe(printed[i]);
  });

  it("the batch worker in a container: at three in Berlin it makes its report, once, and ends orderly at SIGTERM", async () => {
    const on = await stage();
    const tick = threeInBerlin(on.now());
    // Time enough to start in.
    on.moveTo(tick - 20_000);
    const program = on.start("docs-container");
    const ended = await until(() => (on.state("report")?.run?.end === undefined ? undefined : on.state("report")?.run), program);
    expect(ended).toMatchObject({ tick, state: "succeeded", attempt: 1, value: { rows: 42 } });
    expect(ended.start).toBeGreaterThanOrEqual(tick);
    expect(program.transcript()).toContain(`report of ${new Date(tick).toISOString()} attempt 1 token 2`);
    program.signal("SIGTERM");
    expect((await program.exit).code).toBe(0);
    expect(program.transcript().match(/report of/g)).toHaveLength(1);
  });

  it("the function on a timer: a call runs what is due, once, and says when to come again", async () => {
    const on = await stage();
    const tick = Math.ceil(on.now() / 300_000) * 300_000 + 300_000;
    const caller = on.start("docs-function-runner");
    await caller.event("ready", 60_000);
    on.moveTo(tick - 60_000);
    const first = (await caller.ask("invoke", { remainingMs: 20_000 }, 60_000)) as { ran: number; nextAt: string };
    expect(first).toMatchObject({ ran: 0, failed: 0, elsewhere: 0, nextAt: new Date(tick).toISOString() });
    on.moveTo(tick + 1_500);
    expect(await caller.ask("invoke", { remainingMs: 20_000 }, 60_000)).toMatchObject({ ran: 1, failed: 0, elsewhere: 0 });
    expect(await caller.ask("invoke", { remainingMs: 20_000 }, 60_000)).toMatchObject({ ran: 0, failed: 0 });
    expect(on.state("cleanup")?.run).toMatchObject({ tick, state: "succeeded" });
  });
});
