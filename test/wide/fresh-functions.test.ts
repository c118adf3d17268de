/** Locks of functions whose every call is a process of its own: no memory of the one before, and some die in the middle. */
import { expect, it } from "vitest";
import { freshBucket } from "../support/minio-client.ts";
import { type Program, type ProgramEvent, spawnProgram } from "../support/programs.ts";
import { credentialsEnv, sharedMinio } from "../support/servers.ts";

it("200 calls, each in a fresh process, ten of them killed in the middle: no overlap, tokens grow, and each process ends by itself", async () => {
  const minio = sharedMinio();
  const fresh = await freshBucket(minio);
  const ended: Program[] = [];
  const answers: ProgramEvent[] = [];
  let calls = 0;
  const caller = async (): Promise<void> => {
    while (calls < 200) {
      const call = calls++;
      // A key of its own for each crash, so that the others need not wait for its time to pass.
      const crash = call % 20 === 10;
      const env = { ...credentialsEnv(minio), STORE: fresh.url("app"), KEY: crash ? `crash-${call}` : "hourly" };
      const program = spawnProgram("once", { env: crash ? { ...env, CRASH: "yes" } : env });
      const { code, signal } = await program.exit;
      expect([code, signal]).toEqual(crash ? [null, "SIGKILL"] : [0, null]);
      ended.push(program);
      answers.push(...program.events.filter(({ event }) => event === "answer"));
    }
  };
  await Promise.all(Array.from({ length: 4 }, caller));
  expect([ended.length, answers.length]).toEqual([200, 190]);
  expect(answers.flatMap((a) => a["error"] ?? [])).toEqual([]);
  const tokens = answers.flatMap((a) => (a["token"] as number | undefined) ?? []);
  expect(tokens.length).toBeGreaterThan(20);
  const acts = ended
    .flatMap(({ events }) => (events.at(-1)?.event === "answer" ? events.filter(({ event }) => event === "begin" || event === "end") : []))
    .sort((x, y) => x.atMs - y.atMs);
  expect(acts.map(({ event }) => event)).toEqual(tokens.flatMap(() => ["begin", "end"]));
  const inOrder = acts.filter(({ event }) => event === "begin").map((e) => e["token"]);
  expect(inOrder).toEqual(Array.from({ length: tokens.length }, (_, i) => i + 1));
  // What the dead held is had by the first call when its time is over.
  const late = spawnProgram("once", { env: { ...credentialsEnv(minio), STORE: fresh.url("app"), KEY: "crash-10" } });
  expect(await late.event("answer")).toMatchObject({ token: 2 });
}, 300_000);
