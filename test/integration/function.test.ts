/** Locks of functions: environments that are frozen between their calls, die in the middle of some, and begin again in fresh processes. */
import { describe, expect, it } from "vitest";
import { until } from "../support/lock-party.ts";
import { freshBucket } from "../support/minio-client.ts";
import { type Lambda, lambda } from "../support/lambda.ts";
import { type ProgramEvent, spawnProgram } from "../support/programs.ts";
import { credentialsEnv, sharedMinio } from "../support/servers.ts";
import { wallShift, wallShiftMethod } from "../support/wall-clock.ts";

const minio = sharedMinio();
/** The time limit of the function: how long a crash keeps the key closed follows from it. */
const LIMIT_MS = 8_000;

interface Answer {
  readonly token?: number;
  readonly held?: string;
  readonly error?: object;
}

describe.concurrent("locks of functions on MinIO", () => {
  it("200 calls of three environments, frozen between them, six of them killed in the middle: no overlap, tokens grow, nothing stays closed", async () => {
    const fresh = await freshBucket(minio);
    const env = (name: string): Record<string, string | undefined> => ({
      ...credentialsEnv(minio),
      STORE: fresh.url("app"),
      NODE_NAME: name,
    });
    const functions: Lambda[] = await Promise.all(["a", "b", "c"].map((name) => lambda("function", env(name))));
    const answers: Answer[] = [];
    let calls = 0;
    let crashes = 0;
    await Promise.all(
      functions.map(async (f) => {
        while (calls < 200) {
          const call = calls++;
          // A key of its own for each crash, so that the others need not wait for its time to pass.
          const crash = call % 33 === 10;
          const answer = (await f.invoke({ key: crash ? `crash-${call}` : "hourly", workMs: 3, crash }, LIMIT_MS)) as Answer | undefined;
          if (answer === undefined) crashes++;
          else answers.push(answer);
        }
      }),
    );
    expect(crashes).toBe(6);
    expect(answers.flatMap((a) => a.error ?? [])).toEqual([]);
    const tokens = answers.flatMap((a) => a.token ?? []);
    expect(tokens.length).toBeGreaterThan(20);
    expect(new Set(tokens).size).toBe(tokens.length);
    // In the order in which they began to work, each ended before the next began: all processes of a machine share one clock.
    const acts = functions
      .flatMap((f) => f.processes.flatMap((p) => p.events.filter((e) => e["key"] === "hourly")))
      .sort((x, y) => x.atMs - y.atMs);
    expect(acts.map((e) => e.event)).toEqual(tokens.flatMap(() => ["begin", "end"]));
    const inOrder = acts.filter((e) => e.event === "begin").map((e) => Number(e["token"]));
    expect(inOrder).toEqual(tokens.toSorted((a, b) => a - b));
    // A fresh environment has what the dead one held at its first call, when its time is over.
    const late = await lambda("function", env("late"));
    const call = async (): Promise<Answer> => (await late.invoke({ key: "crash-10", workMs: 1, crash: false }, LIMIT_MS)) as Answer;
    await until(async () => (await call()).token === 2, "it has it");
  });

  it(`a clock that is wrong (${wallShiftMethod}) decides nothing: a dead holder is recognised at the first request, a living one is not`, async () => {
    const url = (await freshBucket(minio)).url("app");
    // Long enough to ask while the time of the dead is not over.
    const own = { ...credentialsEnv(minio), STORE: url, LIMIT_MS: "15000" };
    const wrong = [600_000, -600_000, 3_600_000, -3_600_000];
    const keyOf = (shiftMs: number): string => `k${shiftMs}`;
    // Beyond 15 minutes a server refuses the signature; a client that knows how wrong its clock is signs right.
    const late = async (shiftMs: number): Promise<ProgramEvent> => {
      const env = { ...own, KEY: keyOf(shiftMs), SIGN_MS: String(-shiftMs) };
      return await spawnProgram("once", { env, wall: wallShift(shiftMs) }).event("answer");
    };
    const one = async (shiftMs: number): Promise<void> => {
      await spawnProgram("once", { env: { ...own, KEY: keyOf(shiftMs), CRASH: "yes" } }).exit;
      expect(await late(shiftMs)).toMatchObject({ held: expect.stringContaining("fencing token 1") as string });
      await until(async () => (await late(shiftMs))["token"] === 2, "it has it");
    };
    await Promise.all(wrong.map(one));
  });

  it(`a clock that is an hour wrong (${wallShiftMethod}), with a client that does not know: refused at once, and it says by how much`, async () => {
    const url = (await freshBucket(minio)).url("app");
    const env = { ...credentialsEnv(minio), STORE: url, KEY: "k" };
    for (const [shiftMs, text] of [
      [3_600_000, "60.0 minutes ahead of the store's"],
      [-3_600_000, "60.0 minutes behind the store's"],
    ] as const) {
      const answer = await spawnProgram("once", { env, wall: wallShift(shiftMs) }).event("answer");
      expect(answer).toMatchObject({ error: { code: "STORE_ACCESS", message: expect.stringContaining(text) as string } });
    }
  });
});
