/** At most so many requests of a session at a time, and no place among them is ever lost. */
import { describe, expect, it } from "vitest";
import { gated } from "../../src/session/gate.ts";
import { testWorld } from "../../src/testing/sim/test-world.ts";

describe("the gate of a session's requests", () => {
  it("lets as many through as there are places, the others in order as they are free", async () => {
    const world = testWorld();
    const node = world.node("a");
    const store = gated(node.store, 2);
    const all = ["a", "b", "c", "d", "e"].map((key) => store.get(key));
    expect(node.inFlight).toBe(2);
    let most = 0;
    while ((await Promise.race([Promise.all(all), world.advance(1)])) === undefined) most = Math.max(most, node.inFlight);
    expect(most).toBe(2);
  });

  it("a request that throws gives its place back", async () => {
    const world = testWorld();
    const store = gated(world.node("a").store, 1);
    await expect(store.replace("k", "", new Uint8Array())).rejects.toMatchObject({ code: "CONFIG" });
    expect(await world.until(store.get("k"), 10_000)).toMatchObject({ kind: "absent" });
  });

  it("who gave up waiting for a place is not given it", async () => {
    const world = testWorld();
    const store = gated(world.node("a").store, 1);
    const stop = new AbortController();
    const [first, waiting, next] = [store.get("k"), store.get("k", { signal: stop.signal }), store.get("k")];
    stop.abort(new Error("enough"));
    expect(await world.until(waiting, 10_000)).toMatchObject({ kind: "unavailable" });
    expect(await world.until(Promise.all([first, next]), 10_000)).toMatchObject([{ kind: "absent" }, { kind: "absent" }]);
    expect(await world.until(store.get("k"), 10_000)).toMatchObject({ kind: "absent" });
  });
});
