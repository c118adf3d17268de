import { describe, expect, it } from "vitest";
import { FencedOutError, StoreUnavailableError } from "../../src/errors.ts";
import { fencedObject, type FencedObject } from "../../src/fencing/fenced-object.ts";
import { MAX_BEFORE, MAX_BODY_BYTES } from "../../src/fencing/pointer.ts";
import { memoryStore } from "../../src/store/memory-store.ts";
import { testWorld, type TestNode, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { BODIES, by, KEY, large, NAME, overwrite, tap, type TappedStore, unknown } from "./harness.ts";

interface Party {
  readonly node: TestNode;
  readonly store: TappedStore;
  readonly object: FencedObject;
}

const party = (world: TestWorld, name: string): Party => {
  const node = world.node(name);
  const store = tap(node.store);
  return { node, store, object: fencedObject(store, NAME) };
};

const bodiesIn = (world: TestWorld): number[] =>
  world
    .keys()
    .filter((key) => key.startsWith(BODIES))
    .map((key) => world.peek(key)?.[0] ?? -1)
    .sort((a, b) => a - b);

const firstByte = async (world: TestWorld, who: Party): Promise<number | undefined> => (await world.until(who.object.get()))?.body[0];

describe("large bodies", () => {
  it("a put is two PUTs on a known pointer, the body first; a get is two GETs", async () => {
    const world = testWorld();
    const a = party(world, "a");
    await world.until(a.object.put(large(1), by(1)));
    expect(a.store.sent()).toEqual(["get", "create+", "create"]);
    await world.until(a.object.put(large(2), by(1)));
    expect(a.store.sent()).toEqual(["create+", "cas"]);
    expect(await world.until(a.object.get())).toEqual({ body: large(2), fence: by(1) });
    expect(a.store.sent()).toEqual(["get", "get+"]);
  });

  it("each is an object of its own, named by token and nonce, and never changed", async () => {
    const world = testWorld();
    const a = party(world, "a");
    await world.until(a.object.put(large(1), by(7)));
    const key = world.keys().find((k) => k.startsWith(BODIES)) ?? "";
    expect(key.slice(BODIES.length)).toMatch(/^7-[0-9a-f]{32}$/);
    await world.until(a.object.put(large(2), by(8)));
    expect(world.peek(key)).toEqual(large(1));
  });

  it("the one before the last is deleted; the one before stays for those who read it yet", async () => {
    const world = testWorld();
    const a = party(world, "a");
    for (let i = 1; i <= 2; i++) await world.until(a.object.put(large(i), by(1)));
    expect(bodiesIn(world)).toEqual([1, 2]);
    a.store.sent();
    await world.until(a.object.put(large(3), by(1)));
    expect(a.store.sent()).toEqual(["create+", "cas", "delete+"]);
    expect(bodiesIn(world)).toEqual([2, 3]);
    await world.until(a.object.put("small", by(1)));
    expect(bodiesIn(world)).toEqual([3]);
    await world.until(a.object.put("small", by(1)));
    expect(bodiesIn(world)).toEqual([]);
  });

  it("an open touches no body, and a put of another process deletes what it should", async () => {
    const world = testWorld();
    const [a, b] = [party(world, "a"), party(world, "b")];
    for (let i = 1; i <= 2; i++) await world.until(a.object.put(large(i), by(1)));
    await world.until(b.object.open(by(2)));
    expect(b.store.sent()).toEqual(["get", "cas"]);
    expect(bodiesIn(world)).toEqual([1, 2]);
    expect(await firstByte(world, b)).toBe(2);
    await world.until(b.object.put(large(3), by(2)));
    expect(bodiesIn(world)).toEqual([2, 3]);
  });

  it("a delete that fails is no failure of the put, and prune finds what it left", async () => {
    const world = testWorld();
    const a = party(world, "a");
    for (let i = 1; i <= 2; i++) await world.until(a.object.put(large(i), by(1)));
    const undo = a.node.faults({ kind: "error-500", on: "delete", times: Infinity });
    await world.until(a.object.put(large(3), by(1)));
    undo();
    await world.until(a.object.put("x", by(2)));
    expect(bodiesIn(world).length).toBeGreaterThanOrEqual(1);
    await world.until(a.object.prune());
    expect(bodiesIn(world)).toEqual([3]);
  });

  it("a fenced-out put sends no body when it knows before, and takes it back when it learns after", async () => {
    const world = testWorld();
    const [old, next, fresh] = [party(world, "old"), party(world, "next"), party(world, "fresh")];
    await world.until(old.object.put(large(1), by(1)));
    await world.until(next.object.open(by(2)));
    old.store.sent();
    await expect(world.until(old.object.put(large(9), by(1)))).rejects.toThrow(FencedOutError);
    expect(old.store.sent()).toEqual(["create+", "cas", "get", "delete+"]);
    await expect(world.until(fresh.object.put(large(9), by(1)))).rejects.toThrow(FencedOutError);
    expect(fresh.store.sent()).toEqual(["get"]);
    expect(bodiesIn(world)).toEqual([1]);
    expect(await firstByte(world, next)).toBe(1);
  });

  it("a pointer write whose fate is not known leaves its body: it may be the current one", async () => {
    const world = testWorld();
    const a = party(world, "a");
    await world.until(a.object.put(large(1), by(1)));
    a.store.taps.write = async (send, key) => {
      const answer = await send();
      return key === KEY ? unknown : answer;
    };
    a.store.taps.read = () => Promise.resolve({ kind: "unavailable", error: new StoreUnavailableError("no") });
    await expect(world.until(a.object.put(large(2), by(1), { timeoutMs: 3_000 }))).rejects.toThrow(/not known whether/);
    expect(await firstByte(world, party(world, "b"))).toBe(2);
  });

  it("a body whose fate is not known is no write: the object is as it was, and the error says so", async () => {
    const world = testWorld();
    const a = party(world, "a");
    await world.until(a.object.put(large(1), by(1)));
    a.store.taps.write = () => Promise.resolve(unknown);
    await expect(world.until(a.object.put(large(2), by(1), { timeoutMs: 3_000 }))).rejects.toThrow(
      /could not be put beside it, and the object is as it was/,
    );
    expect(await firstByte(world, party(world, "b"))).toBe(1);
  });

  it("a body that was named without a reply, and opened over until its nonce was forgotten, is still the current one", async () => {
    const world = testWorld();
    const [old, next] = [party(world, "old"), party(world, "next")];
    await world.until(old.object.put(large(1), by(1)));
    old.store.taps.write = async (send, key) => {
      if (key !== KEY) return send();
      old.store.taps.write = undefined;
      await send();
      // Nobody writes a body; the bar alone goes up, more often than a pointer remembers nonces.
      for (let token = 2; token <= MAX_BEFORE + 2; token++) await next.object.open(by(token));
      return unknown;
    };
    await world.until(old.object.put(large(2), by(1)));
    expect(await firstByte(world, next)).toBe(2);
    expect(bodiesIn(world)).toEqual([1, 2]);
    await expect(world.until(old.object.put(large(3), by(1)))).rejects.toThrow(FencedOutError);
  });

  it("lost replies to the body: sent again under the same name, and a refusal after that is its own", async () => {
    const world = testWorld();
    const a = party(world, "a");
    await world.until(a.object.put("x", by(1)));
    a.store.sent();
    a.node.faults({ kind: "lose-reply", on: "put" });
    await world.until(a.object.put(large(1), by(1)));
    expect(a.store.sent()).toEqual(["create+", "create+", "get+", "cas"]);
    expect(bodiesIn(world)).toEqual([1]);
    expect(await firstByte(world, a)).toBe(1);
  });

  it("a body that is refused without a reason is not overwritten: it gets another name (a clone's random numbers)", async () => {
    const world = testWorld();
    const a = party(world, "a");
    let refusals = 1;
    a.store.taps.write = (send, key) =>
      key.startsWith(BODIES) && refusals-- > 0 ? Promise.resolve({ kind: "refused", status: 412, dateMs: undefined }) : send();
    await world.until(a.object.put(large(1), by(1)));
    expect(await firstByte(world, a)).toBe(1);
    refusals = Infinity;
    await expect(world.until(a.object.put(large(2), by(1)))).rejects.toThrow(/could not be put beside it/);
    expect(await firstByte(world, a)).toBe(1);
  });

  it("a reader whose body was deleted under its hands reads the pointer again", async () => {
    const world = testWorld();
    const [a, reader] = [party(world, "a"), party(world, "reader")];
    await world.until(a.object.put(large(1), by(1)));
    let done = false;
    reader.store.taps.read = async (send, key) => {
      if (key !== KEY && !done) {
        done = true;
        for (let i = 2; i <= 4; i++) await a.object.put(large(i), by(1));
      }
      return send();
    };
    expect(await firstByte(world, reader)).toBe(4);
    expect(reader.store.sent()).toEqual(["get", "get+", "get", "get+"]);
  });

  it("a body that stays away, or has another size, is damage, after a bounded number of looks", async () => {
    const world = testWorld();
    const a = party(world, "a");
    const name = `1-${"a".repeat(32)}`;
    overwrite(world, { content: { kind: "object", name, bytes: 100_000 } });
    await expect(world.until(a.object.get())).rejects.toMatchObject({ code: "RECORD", kind: "damaged" });
    expect(a.store.sent()).toHaveLength(10);
    for (const bytes of [99_999, 100_001]) {
      world.overwrite(BODIES + name, large(1, bytes));
      await expect(world.until(a.object.get())).rejects.toThrow(/has another size/);
    }
    world.overwrite(BODIES + name, large(1));
    expect(await firstByte(world, a)).toBe(1);
  });

  it("the largest body", async () => {
    const object = fencedObject(memoryStore(), "big");
    await object.put(new Uint8Array(MAX_BODY_BYTES), by(1));
    expect((await object.get())?.body.length).toBe(MAX_BODY_BYTES);
  });
});

describe("prune", () => {
  const leave = (world: TestWorld, token: number, byte: number): string => {
    const name = `${token}-${byte.toString(16).padStart(32, "0")}`;
    world.overwrite(BODIES + name, large(byte));
    return name;
  };

  it("deletes what writers of tokens below the bar left, and nothing else", async () => {
    const world = testWorld();
    const a = party(world, "a");
    leave(world, 1, 1);
    leave(world, 4, 2);
    leave(world, 5, 3);
    leave(world, 6, 4);
    const [current, kept] = [leave(world, 3, 5), leave(world, 2, 6)];
    world.overwrite(`${BODIES}notes.txt`, large(7));
    world.overwrite(`fenced-bodies/other/1-${"a".repeat(32)}`, large(8));
    overwrite(world, { fencingToken: 5, content: { kind: "object", name: current, bytes: 100_000 }, kept });
    expect(await world.until(a.object.prune())).toBe(2);
    expect(bodiesIn(world)).toEqual([3, 4, 5, 6, 7]);
    expect(world.keys()).toContain(`fenced-bodies/other/1-${"a".repeat(32)}`);
    expect(a.store.sent()).toEqual(["get", "list+", "delete+", "delete+"]);
    expect(await world.until(a.object.prune())).toBe(0);
  });

  it("does nothing without a pointer: a first body may be on its way", async () => {
    const world = testWorld();
    leave(world, 1, 1);
    expect(await world.until(party(world, "a").object.prune())).toBe(0);
    expect(bodiesIn(world)).toEqual([1]);
  });

  it("goes on over pages", async () => {
    const store = memoryStore();
    const object = fencedObject(store, NAME);
    await object.open(by(9));
    for (let i = 0; i < 2_100; i++) await store.create(`${BODIES}${1 + (i % 8)}-${i.toString(16).padStart(32, "0")}`, new Uint8Array(1));
    expect(await object.prune()).toBe(2_100);
    expect(store.stats()["list"]).toBe(3);
  });
});
