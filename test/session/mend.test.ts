import { describe, expect, it } from "vitest";
import { mend, type Mended, type MendOptions } from "../../src/lease/mend.ts";
import { remainsOf } from "../../src/lease/remains.ts";
import { watchMs } from "../../src/lease/timing.ts";
import { Locks } from "../../src/locks/locks.ts";
import { Session } from "../../src/session/session.ts";
import { testWorld, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { counted, type CountedStore, sessionRecordAt, timedRecordAt, TTL } from "./harness.ts";

const KEY = "locks/locks/a";
const WATCH_ALL = watchMs({ ttlMs: TTL, marginMs: 0 });

/** The lock of a session whose record is torn: its end is missing, and the session can still be read. */
async function torn(world: TestWorld): Promise<{ readonly session: Session; readonly member: string; readonly text: Uint8Array }> {
  const session = await world.until(Session.open({ store: world.node("a").store, node: "a", ttlMs: TTL }));
  await world.until(session.locks().acquire("a"));
  await world.until(session.locks().acquire("b"));
  const { member } = sessionRecordAt(world, KEY).session;
  const whole = world.peek(KEY) ?? new Uint8Array();
  const text = whole.slice(0, -1);
  world.overwrite(KEY, text);
  return { session, member, text };
}

function mending(
  world: TestWorld,
  body: Uint8Array,
  over: Partial<MendOptions> = {},
): { readonly store: CountedStore; readonly done: Promise<Mended> } {
  const store = counted(world.node("op").store);
  const done = (async () => {
    const read = await store.get(KEY);
    return await mend(store, KEY, {
      seen: read.kind === "found" ? read : undefined,
      remains: remainsOf(KEY, [body]),
      fencingToken: 2,
      ttlMs: TTL,
      ...over,
    });
  })();
  done.catch(() => {});
  return { store, done };
}

const writes = (store: CountedStore): string[] => store.sent().filter((call) => !call.startsWith("get"));

describe("mending the lock of a session (S15): its holder never looks at it again", () => {
  it("while the session lives nothing is written, and it is named", async () => {
    const world = testWorld({ seed: 1 });
    const { session, member, text } = await torn(world);
    const { store, done } = mending(world, text);
    expect(await world.until(done)).toEqual({ kind: "session-lives", session: { member, token: 1 }, holder: "a" });
    expect(writes(store)).toEqual([]);
    expect(session.signal.aborted).toBe(false);
  });

  it("a dead one is ended in the store first; its other locks are free from then on, too", async () => {
    const world = testWorld({ seed: 1 });
    const { member, text } = await torn(world);
    world.node("a").crash();
    const { store, done } = mending(world, text);
    expect(await world.until(done)).toEqual({ kind: "mended", fencingToken: 2 });
    expect(writes(store)).toEqual(["replace locks/member", "replace locks/locks/a"]);
    expect(timedRecordAt(world, member)).toMatchObject({ state: "released", endedBy: "other", fencingToken: 1 });
    const locks = new Locks({ store: world.node("b").store });
    expect((await world.until(locks.tryAcquire("a")))?.fencingToken).toBe(3);
    expect((await world.until(locks.tryAcquire("b")))?.fencingToken).toBe(2);
  });

  it("one that was ended by others may still believe until its own deadline: W is waited all the same", async () => {
    const world = testWorld({ seed: 1 });
    const { session, text } = await torn(world);
    await world.advance(2_000);
    expect(await world.until(new Locks({ store: world.node("op2").store }).forceRelease("b", { token: 1, now: true }))).toBe("released");
    const before = world.nowMs;
    const { done } = mending(world, text);
    let overAt = Infinity;
    session.signal.addEventListener("abort", () => (overAt = world.nowMs));
    expect(await world.until(done)).toMatchObject({ kind: "mended" });
    expect(overAt).toBeLessThan(world.nowMs);
    expect(world.nowMs - before).toBeGreaterThanOrEqual(WATCH_ALL);
  });

  it("where the member's record is damaged itself, that one is named first", async () => {
    const world = testWorld({ seed: 1 });
    const { member, text } = await torn(world);
    world.overwrite(member, new TextEncoder().encode("{"));
    const { store, done } = mending(world, text);
    await expect(world.until(done)).rejects.toMatchObject({
      code: "RECORD",
      message: expect.stringContaining(`s3-consensus repair --kind member ${member.split("/").at(-1) ?? ""}`) as string,
    });
    expect(writes(store)).toEqual([]);
  });
});
