/** Who probes, who waits, and what is believed: many processes over one store, in virtual time. */
import { describe, expect, it } from "vitest";
import { proveSafe } from "../../src/store/safety.ts";
import {
  DEAD_PROBER_MS,
  encodeVerdict,
  nextStep,
  verdictKey,
  viewOf,
  type Body,
  type Findings,
  type View,
} from "../../src/store/verdict.ts";
import { OddStore } from "./odd-store.ts";
import { VirtualClock } from "./virtual-clock.ts";

const place = { endpoint: "odd", bucket: "store", prefix: "" };
const key = verdictKey(place);
const GOOD: Findings = { storeTime: true, skewMs: 1000, quoting: "quoted", remarks: [] };
const head = { place, by: "test:1", at: "2026-01-01T00:00:00.000Z", packageVersion: "0.0.0" };
const run = "00112233";

type Settled = PromiseSettledResult<Findings>;

/** `count` processes that start at once; the rest of the world by `meanwhile`. */
async function start(store: OddStore, count: number, options: { readonly signal?: AbortSignal } = {}): Promise<Settled[]> {
  const all = Array.from({ length: count }, (_, i) => proveSafe(store.port(), { place, by: `node:${i}`, ...options }));
  return await (store.clock as VirtualClock).run(Promise.allSettled(all));
}

const probesIn = (store: OddStore): number =>
  new Set(store.log.filter((l) => l.startsWith("PUT") && l.endsWith("/step")).map((l) => l.split("/").at(-2))).size;
const state = (store: OddStore): string | undefined => (JSON.parse(store.text(key)) as { state?: string }).state;

async function put(store: OddStore, body: Uint8Array): Promise<string> {
  const port = store.port();
  const before = store.objects.get(key);
  const result = await (store.clock as VirtualClock).run(
    before === undefined ? port.create(key, body) : port.replace(key, before.etag, body),
  );
  return result.kind === "applied" ? result.etag : result.kind;
}

describe("a good store", () => {
  it("is probed once by a hundred processes that start together, and one hidden object stays", async () => {
    const store = new OddStore();
    const results = await start(store, 100);
    expect(results.map((r) => r.status)).toEqual(Array.from({ length: 100 }, () => "fulfilled"));
    expect(probesIn(store)).toBe(1);
    expect([...store.objects.keys()]).toEqual([key]);
    expect(JSON.parse(store.text(key))).toMatchObject({
      format: "s3-consensus/verdict",
      probeVersion: 1,
      state: "good",
      endpoint: "odd",
      bucket: "store",
      findings: GOOD,
    });
  });

  it("costs the next process two requests", async () => {
    const store = new OddStore();
    await start(store, 1);
    store.log.length = 0;
    await start(store, 1);
    expect(store.log.sort()).toEqual([`GET ${key}`, `PUT ${key}`]);
  });

  it("is probed once even where replies are lost and the store is busy", async () => {
    for (const vices of [
      { losesReplies: 3 },
      { busyEvery: 4 },
      { losesReplies: 5, busyEvery: 7 },
      { unquotedOnly: true },
      { oneWriteASecond: true },
    ]) {
      const store = new OddStore(vices);
      const results = await start(store, 20);
      expect(
        results.filter((r) => r.status === "rejected"),
        JSON.stringify(vices),
      ).toEqual([]);
      expect(probesIn(store), JSON.stringify(vices)).toBe(1);
      expect(state(store)).toBe("good");
    }
  });

  it("tells a later process that ETags go unquoted, or probes again where the user says otherwise", async () => {
    const store = new OddStore({ unquotedOnly: true });
    await start(store, 1);
    const clock = store.clock as VirtualClock;
    expect(await clock.run(proveSafe(store.port(), { place, by: "n" }))).toMatchObject({ quoting: "unquoted" });
    expect(probesIn(store)).toBe(1);
    const decided = { ...store.port(), useEtagQuoting: (): boolean => false };
    await expect(clock.run(proveSafe(decided, { place, by: "n", quoting: "quoted" }))).rejects.toMatchObject({
      code: "STORE_UNSAFE",
      step: "replace",
    });
  });
});

describe("a careless store", () => {
  it("is refused by all who start together, and nothing good is kept", async () => {
    for (const vices of [{ ignoresIfMatch: true }, { ignoresIfNoneMatch: true }, { checkThenWrite: true }, { createsMissing: true }]) {
      const store = new OddStore(vices);
      const results = await start(store, 10);
      for (const result of results) {
        expect(result, JSON.stringify(vices)).toMatchObject({ status: "rejected", reason: { code: "STORE_UNSAFE" } });
      }
      if (store.objects.has(key)) expect(state(store), JSON.stringify(vices)).not.toBe("good");
    }
  });

  it("is probed once: those who watched it fail get the error, whoever comes later tries again", async () => {
    const store = new OddStore({ createsMissing: false, staleNotModified: false, refusesCreate: false });
    // Unsafe by one step only, so that the verdict object itself works.
    const port = store.port.bind(store);
    store.port = (latencyMs) => {
      const real = port(latencyMs);
      return {
        ...real,
        replace: async (k, etag, body, o) =>
          k.endsWith("/missing") ? { kind: "applied", etag: '"x"', dateMs: 0 } : await real.replace(k, etag, body, o),
      };
    };
    const results = await start(store, 50);
    expect(probesIn(store)).toBe(1);
    expect(results.every((r) => r.status === "rejected")).toBe(true);
    const reasons = results.map((r) => (r as PromiseRejectedResult).reason as Error & { step: string });
    expect(new Set(reasons.map((e) => e.step))).toEqual(new Set(["replace-missing"]));
    expect(reasons.filter((e) => e.message.includes("found by another process"))).toHaveLength(49);
    expect(state(store)).toBe("failed");
    await start(store, 1);
    expect(probesIn(store)).toBe(2);
  });
});

describe("no verdict", () => {
  it("an outage is unavailable, no right is an access error, and both are tried again by the next", async () => {
    const down = new OddStore({ down: true });
    expect(await start(down, 3)).toMatchObject([1, 2, 3].map(() => ({ reason: { code: "STORE_UNAVAILABLE" } })));
    down.vices = {};
    expect(await start(down, 3)).toMatchObject([1, 2, 3].map(() => ({ status: "fulfilled" })));
    const readOnly = new OddStore({ noWrite: true });
    expect(await start(readOnly, 3)).toMatchObject([1, 2, 3].map(() => ({ reason: { code: "STORE_ACCESS", hint: "allow s3:PutObject" } })));
    expect(readOnly.objects.size).toBe(0);
    expect(await start(new OddStore({ missingIs403: true }), 1)).toMatchObject([
      { reason: { code: "STORE_ACCESS", hint: "allow s3:ListBucket" } },
    ]);
  });

  it("an outage in the middle of a probe does not make the same process wait for its own dead run", async () => {
    const store = new OddStore();
    const clock = store.clock as VirtualClock;
    const ownRuns = new Set<string>();
    clock.setTimer(300, () => (store.vices = { down: true }));
    await expect(clock.run(proveSafe(store.port(), { place, by: "n", ownRuns }))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(state(store)).toBe("probing");
    store.vices = {};
    const startMs = clock.monotonicMs();
    expect(await clock.run(proveSafe(store.port(), { place, by: "n", ownRuns }))).toMatchObject({ storeTime: true });
    expect(clock.monotonicMs() - startMs).toBeLessThan(DEAD_PROBER_MS / 2);
    expect(store.litter()).toEqual([]);
  });

  it("an aborted probe frees the way at once, and ends with the signal's reason", async () => {
    const store = new OddStore();
    const clock = store.clock as VirtualClock;
    const controller = new AbortController();
    clock.setTimer(300, () => controller.abort(new Error("enough")));
    expect(await start(store, 1, { signal: controller.signal })).toMatchObject([{ reason: { message: "enough" } }]);
    expect(state(store)).toBe("failed");
    const startMs = clock.monotonicMs();
    expect(await start(store, 1)).toMatchObject([{ status: "fulfilled" }]);
    expect(clock.monotonicMs() - startMs).toBeLessThan(DEAD_PROBER_MS / 2);
    expect(store.litter()).toEqual([]);
  });
});

describe("a dead prober", () => {
  it("is taken over after 30 s unchanged, not before, by one, and its objects are removed", async () => {
    const store = new OddStore();
    const clock = store.clock as VirtualClock;
    await put(store, encodeVerdict(head, { state: "probing", run }));
    const left = key.replace("verdict-", "probe-");
    await clock.run(store.port().create(`${left}/${run}/step`, new Uint8Array([1])));
    store.log.length = 0;
    const startMs = clock.monotonicMs();
    const results = await start(store, 20);
    expect(results.every((r) => r.status === "fulfilled")).toBe(true);
    const tookMs = clock.monotonicMs() - startMs;
    expect(tookMs).toBeGreaterThanOrEqual(DEAD_PROBER_MS);
    expect(tookMs).toBeLessThan(DEAD_PROBER_MS + 10_000);
    expect(probesIn(store)).toBe(1);
    expect([...store.objects.keys()]).toEqual([key]);
  });

  it("is taken over on a store that takes only unquoted ETags, and that is found out as well", async () => {
    const store = new OddStore();
    await put(store, encodeVerdict(head, { state: "probing", run }));
    store.vices = { unquotedOnly: true };
    expect(await start(store, 5)).toMatchObject([1, 2, 3, 4, 5].map(() => ({ value: { quoting: "unquoted" } })));
    expect(state(store)).toBe("good");
  });

  it("a prober that comes back after it was taken over overwrites nothing", async () => {
    const store = new OddStore();
    const etag = await put(store, encodeVerdict(head, { state: "probing", run }));
    await start(store, 1);
    const good = store.text(key);
    const late = await (store.clock as VirtualClock).run(
      store.port().replace(key, etag, encodeVerdict(head, { state: "failed", run, failure: undefined })),
    );
    expect(late.kind).toBe("refused");
    expect(store.text(key)).toBe(good);
  });
});

describe("what is no verdict is probed again and replaced by its ETag alone", () => {
  const json = (o: object): Uint8Array => new TextEncoder().encode(JSON.stringify(o));
  const good = JSON.parse(new TextDecoder().decode(encodeVerdict(head, { state: "good", run, findings: GOOD }))) as Record<string, unknown>;
  it.each<[string, Uint8Array]>([
    ["empty", new Uint8Array()],
    ["not UTF-8", Uint8Array.from([0xff, 0xfe])],
    ["not JSON", new TextEncoder().encode("{")],
    ["a truncated verdict", encodeVerdict(head, { state: "good", run, findings: GOOD }).slice(0, 100)],
    ["JSON of another kind", json([1])],
    ["null", new TextEncoder().encode("null")],
    ["the body of a path proof", json({ format: "s3-consensus/path-proof", state: "good", findings: GOOD })],
    ["of another format", json({ ...good, format: "other" })],
    ["of another probe version", json({ ...good, probeVersion: 0 })],
    ["of another endpoint", json({ ...good, endpoint: "elsewhere" })],
    ["of another bucket", json({ ...good, bucket: "elsewhere" })],
    ["without findings", json({ ...good, findings: undefined })],
    ["with findings of the wrong types", json({ ...good, findings: { ...GOOD, storeTime: "yes" } })],
    ["with a negative skew", json({ ...good, findings: { ...GOOD, skewMs: -1 } })],
    ["in no known state", json({ ...good, state: "splendid" })],
    ["probing without a run", json({ ...good, state: "probing", run: 5 })],
  ])("%s", async (_, body) => {
    const store = new OddStore();
    await put(store, body);
    expect(await start(store, 5)).toMatchObject([1, 2, 3, 4, 5].map(() => ({ status: "fulfilled", value: GOOD })));
    expect(probesIn(store)).toBe(1);
    expect(state(store)).toBe("good");
  });

  it("older than 30 days, by the store's own times", async () => {
    const store = new OddStore();
    const clock = store.clock as VirtualClock;
    await start(store, 1);
    await clock.advance(30 * 86_400_000 - 60_000);
    await start(store, 2);
    expect(probesIn(store)).toBe(1);
    await clock.advance(120_000);
    await start(store, 2);
    expect(probesIn(store)).toBe(2);
  });
});

describe("nextStep", () => {
  const probing = (etag: string): View => ({ kind: "probing", etag, run });
  const failure = { code: "STORE_UNSAFE", message: "m", step: "s" } as const;
  it.each<[string, View, Parameters<typeof nextStep>[1], number, string]>([
    ["absent", { kind: "absent" }, {}, 0, "claim"],
    ["good", { kind: "good", etag: "e", findings: GOOD }, {}, 0, "believe"],
    ["useless", { kind: "useless", etag: "e" }, {}, 0, "claim"],
    ["probing, first seen", probing("e"), {}, 99_999, "wait"],
    ["probing, watched for too short", probing("e"), { watched: { etag: "e", sinceMs: 1 } }, DEAD_PROBER_MS, "wait"],
    ["probing, watched long enough", probing("e"), { watched: { etag: "e", sinceMs: 0 } }, DEAD_PROBER_MS, "claim"],
    ["probing, but changed since", probing("f"), { watched: { etag: "e", sinceMs: 0 } }, DEAD_PROBER_MS, "wait"],
    ["probing, a run of my own that has ended", probing("e"), { ownRuns: new Set([run]) }, 0, "claim"],
    ["failed while I waited", { kind: "failed", etag: "f", run, failure, lasts: false }, {}, 1, "fail"],
    ["failed before I came", { kind: "failed", etag: "f", run, failure, lasts: false }, { oldFailure: run }, 1, "claim"],
    ["failed in a full probe before I came", { kind: "failed", etag: "f", run, failure, lasts: true }, { oldFailure: run }, 1, "fail"],
    ["another failed while I waited", { kind: "failed", etag: "f", run, failure, lasts: false }, { oldFailure: "44556677" }, 1, "fail"],
    ["given up while I waited", { kind: "failed", etag: "f", run, failure: undefined, lasts: false }, {}, 1, "claim"],
  ])("%s", (_, view, known, nowMs, expected) => {
    expect(nextStep(view, known, nowMs).do).toBe(expected);
  });
});

it("the codec keeps every state", () => {
  const states: readonly Body[] = [
    { state: "probing", run },
    { state: "good", run, findings: { ...GOOD, storeTime: false, quoting: "unquoted", remarks: ["x"] } },
    { state: "failed", run, failure: { code: "STORE_ACCESS", message: "m", hint: "h", step: undefined } },
    { state: "failed", run, failure: undefined },
    { state: "failed", run, failure: { code: "STORE_UNSAFE", message: "m", hint: undefined, step: "s" }, full: true },
  ];
  for (const body of states) {
    const view = viewOf({ kind: "found", etag: "e", body: encodeVerdict(head, body), dateMs: 0, lastModifiedMs: 0 }, place);
    const { state: kind, ...rest } = body;
    expect(view).toMatchObject({ kind, etag: "e", ...("findings" in rest ? { findings: rest.findings } : { run }) });
    if ("failure" in rest) expect(view).toMatchObject({ failure: rest.failure, lasts: rest.full === true });
  }
});
