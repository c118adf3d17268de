/** The small parts of an election, each by itself. */
import { describe, expect, it } from "vitest";
import type { HolderInfo } from "../../src/errors.ts";
import { Inbox } from "../../src/election/inbox.ts";
import { LeaderWatch } from "../../src/election/leader-watch.ts";
import { metadataReader } from "../../src/election/metadata.ts";

describe("an inbox", () => {
  it("is empty at first, keeps the order, and gives what is posted to whoever waits", async () => {
    const inbox = new Inbox<number>();
    expect(inbox.rest()).toEqual([]);
    const waiting = inbox.next();
    for (const message of [1, 2, 3, 4]) inbox.post(message);
    expect([await waiting, await inbox.next()]).toEqual([1, 2]);
    expect(inbox.rest()).toEqual([3, 4]);
    expect(inbox.rest()).toEqual([]);
  });
});

describe("who watches for leaders", () => {
  const leader = (over: Partial<HolderInfo<unknown>> = {}): HolderInfo<unknown> =>
    ({ key: "e", holder: "a", fencingToken: 1, metadata: undefined, ...over }) as HolderInfo<unknown>;

  it("hears of another tenancy, other metadata, and that there is none; a renewal is no news", () => {
    const watch = new LeaderWatch<unknown>();
    let news = 0;
    const undo = watch.listen(() => void news++);
    const told = [undefined, undefined, leader(), leader({ acquiredAt: "later" } as object), leader({ holder: "b" })];
    expect(told.map((each) => watch.publish(each))).toEqual([true, false, true, false, true]);
    expect(watch.publish(leader({ holder: "b", fencingToken: 2 }))).toBe(true);
    expect(watch.publish(leader({ holder: "b", fencingToken: 2, metadata: { port: 1 } }))).toBe(true);
    expect(news).toBe(5);
    undo();
    expect(watch.publish(undefined)).toBe(true);
    expect(news).toBe(5);
  });
});

describe("published metadata", () => {
  it("is read by the user's function where there is some, and what it can't read is told once", () => {
    const seen: unknown[] = [];
    const failed: unknown[] = [];
    const read = metadataReader(
      (value) => {
        seen.push(value);
        if (value !== 7) throw new Error("no");
        return value;
      },
      (error) => failed.push(error),
    );
    expect([undefined, 7, "x", "x", 7, "x", "y"].map((value) => read(value))).toEqual([
      undefined,
      7,
      undefined,
      undefined,
      7,
      undefined,
      undefined,
    ]);
    expect(seen).toEqual([7, "x", "x", 7, "x", "y"]);
    expect(failed.length).toBe(2);
  });
});
