import { describe, expect, it } from "vitest";
import {
  ConfigError,
  FencedOutError,
  LeaseLostError,
  StoreAccessError,
  StoreUnavailableError,
  StoreUnsafeError,
  type Fence,
} from "../../src/errors.ts";
import { fencedObject, type FencedObject } from "../../src/fencing/fenced-object.ts";
import { MAX_BODY_BYTES, MAX_INLINE_BYTES } from "../../src/fencing/pointer.ts";
import type { ReadResult } from "../../src/store/object-store.ts";
import { memoryStore } from "../../src/store/memory-store.ts";
import { testWorld, type TestNode, type TestWorld } from "../../src/testing/sim/test-world.ts";
import { by, KEY, missing, NAME, overwrite, pointerIn, tap, type TappedStore, text } from "./harness.ts";

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

/** Different calls that must end alike. */
const calls = (...list: readonly (() => Promise<unknown>)[]): typeof list => list;

const bodyIn = async (world: TestWorld): Promise<string | undefined> =>
  text((await world.until(party(world, "reader").object.get()))?.body);

describe("requests", () => {
  it("a first put is a GET and a PUT, every one after it a PUT", async () => {
    const world = testWorld();
    const { store, object } = party(world, "a");
    await world.until(object.put("one", by(1)));
    expect(store.sent()).toEqual(["get", "create"]);
    await world.until(object.put("two", by(1)));
    await world.until(fencedObject(store, NAME).put("three", by(2)));
    expect(store.sent()).toEqual(["cas", "cas"]);
    expect(await bodyIn(world)).toBe("three");
  });

  it("a get is one GET, and tells the bar", async () => {
    const world = testWorld();
    const { store, object } = party(world, "a");
    expect(await world.until(object.get())).toBeUndefined();
    expect(store.sent()).toEqual(["get"]);
    await world.until(object.put("one", by(3)));
    store.sent();
    expect(await world.until(object.get())).toEqual({ body: new TextEncoder().encode("one"), fence: by(3) });
    expect(store.sent()).toEqual(["get"]);
  });

  it("an open is a GET and a PUT; the GET alone where the bar stands there already", async () => {
    const world = testWorld();
    const { store, object } = party(world, "a");
    await world.until(object.open(by(1)));
    expect(store.sent()).toEqual(["get", "create"]);
    await world.until(object.open(by(1)));
    expect(store.sent()).toEqual(["get"]);
    await world.until(object.open(by(2)));
    expect(store.sent()).toEqual(["get", "cas"]);
    expect(await world.until(object.get())).toBeUndefined();
  });

  it("who is known to be fenced out costs none", async () => {
    const world = testWorld();
    const { store, object } = party(world, "a");
    await world.until(object.open(by(5)));
    store.sent();
    await expect(object.put("old", by(4))).rejects.toThrow(FencedOutError);
    expect(store.sent()).toEqual([]);
  });

  it("reading neither probes nor writes; the proof is made beside the first look of a write", async () => {
    const world = testWorld();
    const { store, object } = party(world, "a");
    let proofs = 0;
    store.taps.verdict = () => {
      proofs++;
      return Promise.reject(new StoreUnsafeError("it ignores conditions", { step: "test" }));
    };
    await world.until(object.get());
    await world.until(object.prune());
    expect(proofs).toBe(0);
    store.sent();
    await expect(world.until(object.put("one", by(1)))).rejects.toThrow(StoreUnsafeError);
    expect(proofs).toBe(1);
    expect(store.sent()).toEqual(["get"]);
    expect(world.keys()).toEqual([]);
  });
});

describe("the fence", () => {
  it("an older token is refused once a newer one has written, and what that wrote stands", async () => {
    const world = testWorld();
    const [old, next] = [party(world, "old"), party(world, "next")];
    await world.until(old.object.put("old 1", by(1)));
    await world.until(next.object.put("new", by(2)));
    old.store.sent();
    await expect(world.until(old.object.put("old 2", by(1)))).rejects.toMatchObject({ code: "FENCED_OUT", mine: by(1), theirs: by(2) });
    expect(old.store.sent()).toEqual(["cas", "get"]);
    expect(await bodyIn(world)).toBe("new");
  });

  it("an open alone is enough, although it leaves the body as it was", async () => {
    const world = testWorld();
    const [old, next] = [party(world, "old"), party(world, "next")];
    await world.until(old.object.put("same", by(1)));
    await world.until(next.object.open(by(2)));
    expect(await bodyIn(world)).toBe("same");
    await expect(world.until(old.object.put("same", by(1)))).rejects.toThrow(FencedOutError);
    await expect(world.until(old.object.open(by(1)))).rejects.toThrow(FencedOutError);
    expect(pointerIn(world)).toMatchObject({ fencingToken: 2, version: 2 });
  });

  it("a put that is on its way when the newer one opens is refused when it lands", async () => {
    const world = testWorld();
    const [old, next] = [party(world, "old"), party(world, "next")];
    await world.until(old.object.put("before", by(1)));
    old.node.faults({ kind: "late", on: "put", ms: 30_000 });
    const late = old.object.put("late", by(1), { timeoutMs: 1_000 });
    late.catch(() => {});
    await world.advance(100);
    await world.until(next.object.open(by(2)));
    await world.advance(60_000);
    await expect(late).rejects.toThrow(StoreUnavailableError);
    expect(await bodyIn(world)).toBe("before");
    expect(pointerIn(world).fencingToken).toBe(2);
  });

  it("the same tenancy writes again and again, from whichever process", async () => {
    const world = testWorld();
    const [a, b] = [party(world, "a"), party(world, "b")];
    for (const [who, body] of [
      [a, "1"],
      [b, "2"],
      [a, "3"],
      [a, "4"],
      [b, "5"],
    ] as const)
      await world.until(who.object.put(body, by(7)));
    expect(await bodyIn(world)).toBe("5");
    expect(pointerIn(world)).toMatchObject({ fencingToken: 7, version: 5 });
  });

  it("what is written are the bytes at the time of the call, also of a Buffer", async () => {
    const world = testWorld();
    const { object } = party(world, "a");
    const body = Buffer.from("one");
    const putting = object.put(body, by(1));
    body.fill("x");
    await world.until(putting);
    expect(await bodyIn(world)).toBe("one");
  });

  it("another lease's key is refused by name, known or not, and nothing is written", async () => {
    const world = testWorld();
    const [a, b] = [party(world, "a"), party(world, "b")];
    await world.until(a.object.put("a", by(1, "locks/a")));
    for (const who of [a, b]) {
      for (const write of [() => who.object.put("b", by(9, "elections/b")), () => who.object.open(by(9, "elections/b"))]) {
        const error: unknown = await world.until(write()).catch((e: unknown) => e);
        expect(error).toBeInstanceOf(ConfigError);
        expect((error as Error).message).toMatch(/"locks\/a".*"elections\/b"/);
      }
    }
    expect(pointerIn(world)).toMatchObject({ leaseKey: "locks/a", version: 1 });
  });

  it("a lease is asked before each request that writes, and what it throws ends the call", async () => {
    const world = testWorld();
    const { node, store, object } = party(world, "a");
    let asked = 0;
    const lost: Error[] = [];
    const lease = {
      ...by(1),
      assertHeld: () => {
        asked++;
        if (lost[0] !== undefined) throw lost[0];
      },
    } satisfies Fence & { assertHeld(): void };
    await world.until(object.put("one", lease));
    // At the door, and before the PUT.
    expect(asked).toBe(2);

    node.faults({ kind: "lose-request", on: "put" });
    store.sent();
    const done = object.put("two", lease);
    done.catch(() => {});
    await world.advance(100);
    const error = new LeaseLostError("lost", { key: lease.key, reason: "expired" });
    lost.push(error);
    await expect(world.until(done)).rejects.toBe(error);
    expect(store.sent()).toEqual(["cas"]);
    await expect(object.put("three", lease)).rejects.toBe(error);
    expect(store.sent()).toEqual([]);
    expect(await bodyIn(world)).toBe("one");
  });
});

describe("replies that never came (rule W3)", () => {
  it("lost reply: sent again, and its nonce says that it was applied", async () => {
    const world = testWorld();
    const { node, store, object } = party(world, "a");
    for (const body of ["one", "two"]) {
      node.faults({ kind: "lose-reply", on: "put" });
      await world.until(object.put(body, by(1)));
    }
    expect(store.sent()).toEqual(["get", "create", "create", "get", "cas", "cas", "get"]);
    expect(await bodyIn(world)).toBe("two");
    expect(pointerIn(world).version).toBe(2);
  });

  it("lost request: sent again, applied once", async () => {
    const world = testWorld();
    const { node, object } = party(world, "a");
    node.faults({ kind: "lose-request", on: "put" });
    await world.until(object.put("one", by(1)));
    expect(pointerIn(world).version).toBe(1);
  });

  it("lost reply, and a newer token wrote over it before the second look: it was applied, and says so", async () => {
    const world = testWorld();
    const [old, next] = [party(world, "old"), party(world, "next")];
    await world.until(old.object.put("one", by(1)));
    old.node.faults({ kind: "lose-reply", on: "put" });
    const done = old.object.put("two", by(1));
    await world.advance(1_000);
    for (let i = 0; i < 3; i++) await world.until(next.object.put(`theirs ${i}`, by(2)));
    await world.until(done);
    expect(await bodyIn(world)).toBe("theirs 2");
    await expect(world.until(old.object.put("three", by(1)))).rejects.toThrow(FencedOutError);
  });

  it("a request that lands after its resend changes nothing (rule W4)", async () => {
    const world = testWorld();
    const { node, object } = party(world, "a");
    await world.until(object.put("one", by(1)));
    node.faults({ kind: "late", on: "put", ms: 20_000 });
    await world.until(object.put("two", by(1)));
    await world.until(object.put("three", by(1)));
    await world.advance(60_000);
    expect(await bodyIn(world)).toBe("three");
    expect(pointerIn(world).version).toBe(3);
  });

  it("a fate that is not known in time is an error that says so, and what landed is found by the next put", async () => {
    const world = testWorld();
    const { node, store, object } = party(world, "a");
    await world.until(object.put("one", by(1)));
    const undo = node.faults({ kind: "lose-reply", on: "put", times: Infinity });
    node.faults({ kind: "lose-request", on: "get", times: Infinity });
    const begun = world.nowMs;
    await expect(world.until(object.put("two", by(1), { timeoutMs: 10_000 }))).rejects.toThrow(
      /token 1: it is not known whether the write was applied/,
    );
    expect(world.nowMs - begun).toBeLessThan(11_000);
    undo();
    const other = party(world, "b");
    await world.until(other.object.put("three", by(1)));
    expect(pointerIn(world).version).toBe(3);
    expect(store.sent()[0]).toBe("get");
  });

  it("an aborted call rejects with its reason, before, during a request and during a pause", async () => {
    const world = testWorld();
    const { node, object } = party(world, "a");
    const reason = new Error("enough");
    const stop = new AbortController();
    await world.until(object.put("one", by(1)));
    node.faults({ kind: "lose-request", on: "put", times: Infinity });
    node.faults({ kind: "lose-request", on: "get", times: Infinity });
    const pending = [
      object.put("two", by(1), { signal: stop.signal }),
      object.open(by(2), { signal: stop.signal }),
      object.get({ signal: stop.signal }),
      object.prune({ signal: stop.signal }),
    ];
    for (const call of pending) call.catch(() => {});
    await world.advance(3_000);
    stop.abort(reason);
    expect((await world.until(Promise.allSettled(pending))).map((r) => (r.status === "rejected" ? r.reason : r))).toEqual(
      pending.map(() => reason),
    );
    await expect(object.put("three", by(1), { signal: stop.signal })).rejects.toBe(reason);
    await expect(object.get({ signal: stop.signal })).rejects.toBe(reason);
    await world.advance(60_000);
    expect([node.timers, node.inFlight]).toEqual([0, 0]);
  });

  it("what the store denies is thrown at once", async () => {
    const world = testWorld();
    const { store, object } = party(world, "a");
    const error = new StoreAccessError("no", { hint: "none" });
    store.taps.write = () => Promise.resolve({ kind: "denied", error });
    await expect(world.until(object.put("one", by(1)))).rejects.toBe(error);
    store.taps.read = () => Promise.resolve({ kind: "denied", error });
    await expect(world.until(object.get())).rejects.toBe(error);
  });
});

describe("races", () => {
  it("16 writers of as many tokens: tokens never go back, and the highest has the last word", async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const world = testWorld({ seed });
      const writers = Array.from({ length: 16 }, (_, i) => party(world, `n${i}`));
      const results = await world.until(Promise.allSettled(writers.map(({ object }, i) => object.put(`by ${i + 1}`, by(i + 1)))));
      expect(results[15]?.status).toBe("fulfilled");
      for (const r of results) if (r.status === "rejected") expect(r.reason).toBeInstanceOf(FencedOutError);
      expect(await bodyIn(world)).toBe("by 16");
      expect(pointerIn(world).version).toBe(results.filter((r) => r.status === "fulfilled").length);
    }
  });

  it("16 writers of one token: all get through, and requests are bounded", async () => {
    const world = testWorld({ seed: 3 });
    const writers = Array.from({ length: 16 }, (_, i) => party(world, `n${i}`));
    await world.until(Promise.all(writers.map(({ object }, i) => object.put(`by ${i + 1}`, by(7)))));
    expect(pointerIn(world).version).toBe(16);
    // Each round one of them wins; the others look and try again.
    expect(writers.map(({ store }) => store.sent().length).reduce((a, b) => a + b)).toBeLessThan(16 * 16 * 2);
  });

  it("16 puts of one object at a time", async () => {
    const world = testWorld();
    const { object } = party(world, "a");
    await world.until(Promise.all(Array.from({ length: 16 }, (_, i) => object.put(`body ${i}`, by(1)))));
    expect(pointerIn(world).version).toBe(16);
  });
});

describe("stores in doubt, and pointers that were tampered with", () => {
  it("404 to the right ETag while a read shows the pointer: never created, and an error when the time is over (rule W6)", async () => {
    const world = testWorld();
    const { store, object } = party(world, "a");
    await world.until(object.put("one", by(1)));
    store.taps.write = () => Promise.resolve(missing);
    store.sent();
    await expect(world.until(object.put("two", by(1), { timeoutMs: 20_000 }))).rejects.toThrow(/the write was not applied \(timeoutMs is /);
    expect(store.sent()).not.toContain("create");
    expect(await bodyIn(world)).toBe("one");
  });

  it("a create that is refused where a read shows nothing is not answered by another create without a look", async () => {
    const world = testWorld();
    const { store, object } = party(world, "a");
    store.taps.write = () => Promise.resolve({ kind: "refused", status: 412, dateMs: undefined });
    await expect(world.until(object.put("one", by(1), { timeoutMs: 5_000 }))).rejects.toThrow(StoreUnavailableError);
    const sent = store.sent();
    for (let i = 1; i < sent.length; i++) expect(sent[i]).not.toBe(sent[i - 1]);
  });

  it("deleted: who knew it writes nothing, and says so; a fresh process begins anew", async () => {
    const world = testWorld();
    const { store, object } = party(world, "a");
    await world.until(object.put("one", by(5)));
    world.overwrite(KEY, undefined);
    for (const call of calls(
      () => object.put("two", by(5)),
      () => object.open(by(6)),
      () => object.get(),
    ))
      await expect(world.until(call())).rejects.toMatchObject({ code: "RECORD", kind: "regressed" });
    expect(store.sent()).not.toContain("create+");
    expect(world.keys()).toEqual([]);
    await world.until(party(world, "b").object.put("new", by(1)));
    expect(await bodyIn(world)).toBe("new");
  });

  it("put back to an older version: the same", async () => {
    const world = testWorld();
    const { object } = party(world, "a");
    await world.until(object.put("one", by(4)));
    const old = world.peek(KEY);
    await world.until(object.put("two", by(5)));
    world.overwrite(KEY, old);
    for (const call of calls(
      () => object.put("three", by(6)),
      () => object.open(by(6)),
      () => object.get(),
    ))
      await expect(world.until(call())).rejects.toMatchObject({ code: "RECORD", kind: "regressed" });
    expect(world.peek(KEY)).toEqual(old);
  });

  it("a stale read is looked at again: by a get, by an open, and after a refusal (rule W7)", async () => {
    const world = testWorld();
    const { store, object } = party(world, "a");
    await world.until(object.put("one", by(1)));
    const stale: ReadResult = await world.until(store.get(KEY));
    await world.until(object.put("two", by(2)));
    const staleOnce = (): void => {
      let left = 2;
      store.taps.read = (send) => (left-- > 0 ? Promise.resolve(stale) : send());
    };
    staleOnce();
    expect(text((await world.until(object.get()))?.body)).toBe("two");
    staleOnce();
    await world.until(object.open(by(3)));
    expect(text((await world.until(object.get()))?.body)).toBe("two");
    await world.until(party(world, "b").object.put("three", by(3)));
    staleOnce();
    await world.until(object.put("four", by(3)));
    expect(await bodyIn(world)).toBe("four");
  });

  it.each<[string, Uint8Array, string]>([
    ["a foreign object", new TextEncoder().encode("a report"), "foreign"],
    ["a lease's record", new TextEncoder().encode('{"format":1,"state":"held"}'), "foreign"],
    ["an object that is too large", new Uint8Array(200_000).fill(32), "foreign"],
    ["a pointer of a newer version", new TextEncoder().encode('{"fencedFormat":2}'), "newer"],
    ["a pointer that was cut off", new TextEncoder().encode('{"fencedFormat":1,"leaseKey":"lo'), "damaged"],
  ])("%s is named, and never overwritten", async (_what, body, kind) => {
    const world = testWorld();
    world.overwrite(KEY, body);
    const fresh = party(world, "fresh").object;
    for (const call of calls(
      () => fresh.put("x", by(1)),
      () => fresh.open(by(1)),
      () => fresh.get(),
      () => fresh.prune(),
    ))
      await expect(world.until(call())).rejects.toMatchObject({ code: "RECORD", kind, key: KEY });
    world.overwrite(KEY, undefined);
    const knowing = party(world, "knowing").object;
    await world.until(knowing.put("mine", by(1)));
    world.overwrite(KEY, body);
    await expect(world.until(knowing.put("x", by(1)))).rejects.toMatchObject({ code: "RECORD", kind });
    expect(world.peek(KEY)).toEqual(body);
  });

  it("fields of a later version of this format survive a put and an open (rule R4)", async () => {
    const world = testWorld();
    overwrite(world, { extra: { later: { x: 1 } } });
    const { object } = party(world, "a");
    await world.until(object.put("one", by(1)));
    await world.until(object.open(by(2)));
    expect(pointerIn(world).extra).toEqual({ later: { x: 1 } });
  });
});

describe("arguments", () => {
  const object = fencedObject(memoryStore(), NAME);

  it("bodies: any text and any bytes come back as they were, the empty ones too", async () => {
    for (const body of ["", "Grüße 🦊", "\u0000\ufeff", new Uint8Array(), Uint8Array.from([0, 255, 128])]) {
      await object.put(body, by(1));
      expect((await object.get())?.body).toEqual(typeof body === "string" ? new TextEncoder().encode(body) : body);
    }
  });

  it("bytes that change after the call don't change what is written", async () => {
    const bytes = Uint8Array.from([1, 2, 3]);
    const done = object.put(bytes, by(1));
    bytes.fill(9);
    await done;
    expect((await object.get())?.body).toEqual(Uint8Array.from([1, 2, 3]));
  });

  it("what can't be written is refused at the door", async () => {
    const wrong = (body: unknown): Promise<void> => object.put(body as string, by(1));
    await expect(wrong("\ud800")).rejects.toThrow(/half of a surrogate pair/);
    await expect(wrong({ a: 1 })).rejects.toThrow(/body is an object: expected a text or a Uint8Array/);
    await expect(wrong(undefined)).rejects.toThrow(ConfigError);
    await expect(wrong(new Uint8Array(MAX_BODY_BYTES + 1))).rejects.toThrow(/expected at most 67108864/);
  });

  it.each<[unknown, RegExp]>([
    [7, /fence is 7: expected what is held .* A number alone does not say whose token it is/],
    [undefined, /fence is undefined/],
    [{ key: "", fencingToken: 1 }, /key is ""/],
    [{ key: "k" }, /fencingToken is missing/],
    [{ key: "k", fencingToken: 0 }, /fencingToken is 0/],
    [{ key: "k", fencingToken: 1.5 }, /fencingToken is 1.5/],
    [{ key: "k", fencingToken: "7" }, /fencingToken is "7"/],
  ])("the fence %j", async (fence, message) => {
    await expect(object.put("x", fence as Fence)).rejects.toThrow(message);
    await expect(object.open(fence as Fence)).rejects.toThrow(ConfigError);
  });

  it("names and options", async () => {
    for (const name of ["", "a\u0000b", "\ud800", 7 as unknown as string])
      expect(() => fencedObject(memoryStore(), name)).toThrow(ConfigError);
    expect(() => fencedObject(memoryStore(), "x".repeat(1_000))).toThrow(/gives a key of \d+ bytes/);
    expect(() => fencedObject({} as never, "x")).toThrow(ConfigError);
    await expect(object.put("x", by(1), { timeoutMs: 1 })).rejects.toThrow(/timeoutMs is 1/);
    await expect(object.put("x", by(1), { timeout: 1_000 } as object)).rejects.toThrow(/did you mean "timeoutMs"/);
    await expect(object.get({ signal: 1 } as object)).rejects.toThrow(/signal is 1/);
  });

  it("the largest body that stands in the pointer, and the smallest that does not", async () => {
    const store = memoryStore();
    const edge = fencedObject(store, "edge");
    const lengthOf = async (): Promise<number | undefined> => (await edge.get())?.body.length;
    await edge.put(new Uint8Array(MAX_INLINE_BYTES), by(1));
    expect(await lengthOf()).toBe(MAX_INLINE_BYTES);
    expect(store.stats()["put"]).toBe(1);
    await edge.put(new Uint8Array(MAX_INLINE_BYTES + 1), by(1));
    expect(await lengthOf()).toBe(MAX_INLINE_BYTES + 1);
    expect(store.stats()["put"]).toBe(3);
  });
});
