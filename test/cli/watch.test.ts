/** `watch` on a thousand locks: what it costs, what stands on top, what a terminal shows, and how it scrolls. */
import { beforeAll, describe, expect, it } from "vitest";
import { fakeS3, type FakeS3 } from "s3-consensus/testing";
import type { LeaseView } from "../../src/cli/view/catalogue.ts";
import { afterKey, changesAfter, NEWS_MS, roomFor, sorted, watchFrame, type WatchState } from "../../src/cli/view/watch-view.ts";
import { width } from "../../src/cli/frame/output.ts";
import { someBody, someRecord } from "../lease/records.ts";
import { CLI, cliEnv, startCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { whenFinished } from "../support/finish.ts";
import { openTerminal, TERMINALS } from "../support/terminal.ts";

const LOCKS = 1_000;
const name = (i: number): string => `lock-${String(i).padStart(4, "0")}`;
const plain = (_: unknown, text: string): string => text;

function view(i: number, more: Partial<LeaseView> & { readonly holder?: string; readonly token?: number } = {}): LeaseView {
  const { holder = "worker-7:4711", token = 3, ...rest } = more;
  const record = someRecord({ holder, fencingToken: token, version: 812, ttlMs: 30_000 });
  return {
    kind: "lock",
    name: name(i),
    key: `locks/locks/${name(i)}`,
    state: "held",
    etag: `"${i}"`,
    record,
    ageMs: 4_000,
    problem: undefined,
    ...rest,
  };
}

function state(more: Partial<WatchState> = {}): WatchState {
  const views = Array.from({ length: LOCKS }, (_, i) => view(i));
  return {
    views,
    changedAtMs: new Map(),
    order: "news",
    offset: 0,
    cost: "1 LIST, 12 GET",
    intervalMs: 2_000,
    trouble: undefined,
    ...more,
  };
}

describe("the order", () => {
  const names = (views: readonly LeaseView[]): string[] => views.map((v) => v.name);

  it("news on top, the newest first; what is unreadable or overdue above it; all others keep their places", () => {
    const views = [view(0), view(1), view(2, { state: "overdue" }), view(3), view(4, { state: "unreadable", record: undefined })];
    const changedAtMs = new Map([
      [view(1).key, 100],
      [view(3).key, 200],
    ]);
    expect(names(sorted({ views, changedAtMs, order: "news" }))).toEqual([4, 2, 3, 1, 0].map(name));
    expect(names(sorted({ views, changedAtMs, order: "name" }))).toEqual([0, 1, 2, 3, 4].map(name));
  });

  it("the soonest end first, what is free last", () => {
    const views = [view(0), view(1, { ageMs: 20_000 }), view(2, { state: "free" }), view(3, { ageMs: 40_000, state: "overdue" })];
    expect(names(sorted({ views, changedAtMs: new Map(), order: "soonest" }))).toEqual([3, 1, 0, 2].map(name));
  });

  it("a change of hands is news for 30 s, a renewal is none, and nothing is news at the first look", () => {
    const first = [view(0), view(1)];
    expect(changesAfter(undefined, first, new Map(), 0)).toEqual(new Map());
    const second = [view(0, { etag: '"renewed"', ageMs: 0 }), view(1, { holder: "another", token: 4 }), view(2)];
    const changed = changesAfter(first, second, new Map(), 1_000);
    expect([...changed]).toEqual([
      [view(1).key, 1_000],
      [view(2).key, 1_000],
    ]);
    expect(changesAfter(second, second, changed, 1_000 + NEWS_MS - 1)).toEqual(changed);
    expect(changesAfter(second, second, changed, 1_000 + NEWS_MS)).toEqual(new Map());
  });
});

describe("the screen", () => {
  it.each([
    [80, 24],
    [120, 40],
    [200, 60],
    [40, 8],
  ])("fits %i × %i, and says how many there are beside those that it shows", (columns, rows) => {
    const lines = watchFrame(state(), { columns, rows }, plain);
    expect(lines).toHaveLength(rows);
    if (columns >= 80) expect(lines.filter((line) => width(line) > columns)).toEqual([]);
    expect(lines.filter((line) => line.includes("lock-0"))).toHaveLength(roomFor(rows));
    if (columns >= 80) expect(lines.at(-1)).toContain(`1 to ${roomFor(rows)} of 1000`);
  });

  it("has every column at 80", () => {
    const long = view(0, { holder: "a-long-host-name.example.org:12345", token: 123 });
    const [summary, head, first] = watchFrame(state({ views: [long] }), { columns: 80, rows: 24 }, plain);
    expect(summary).toBe("  1 held, 0 free   every 2.0 s: 1 LIST, 12 GET");
    expect(head).toMatch(/KIND +NAME +HOLDER +TOKEN +LEFT +AGE +VERSION/);
    expect(first).toMatch(/lock +lock-0000 +a-long-host-name.*… +123 +█{5}░ 26 s +4\.0 s +812/);
  });

  it("marks news, counts what is overdue, and keeps what it has seen through an outage", () => {
    const views = [view(0, { state: "overdue", ageMs: 31_000 }), view(1)];
    const lines = watchFrame(
      state({ views, changedAtMs: new Map([[view(1).key, 1]]), trouble: "no answer" }),
      { columns: 80, rows: 24 },
      plain,
    );
    expect(lines[0]).toBe("  1 held, 1 overdue, 0 free   no answer");
    expect(lines[2]).toMatch(/^ {2}lock .*░{6} overdue/);
    expect(lines[3]).toMatch(/^▸ lock .*lock-0001/);
  });

  it("scrolls to both ends and no further; o goes through the orders", () => {
    const at = (offset: number) => ({ ...state(), offset });
    const room = roomFor(24);
    expect(afterKey("up", at(0), 24)?.offset).toBe(0);
    expect(afterKey("down", at(0), 24)?.offset).toBe(1);
    expect(afterKey("page-down", at(5), 24)?.offset).toBe(5 + room);
    expect(afterKey("end", at(0), 24)?.offset).toBe(LOCKS - room);
    expect(afterKey("page-down", at(LOCKS - room), 24)?.offset).toBe(LOCKS - room);
    expect(afterKey("home", at(300), 24)?.offset).toBe(0);
    expect(afterKey("o", at(300), 24)).toEqual({ order: "soonest", offset: 0 });
    expect(afterKey("x", at(0), 24)).toBeUndefined();
  });
});

describe("a thousand locks on a server that counts", () => {
  let server: FakeS3;
  let env: Record<string, string | undefined>;
  const body = (i: number, token: number): Uint8Array =>
    someBody({ holder: `worker-${i % 7}`, fencingToken: token, ttlMs: 600_000, expiresAt: "2026-01-01T00:09:58.500Z" });
  const put = (i: number, token: number): void => void server.bucket().put(`app/locks/locks/${name(i)}`, body(i, token));

  beforeAll(async () => {
    server = await fakeS3({ buckets: ["many"] });
    whenFinished(() => server.close());
    for (let i = 0; i < LOCKS; i++) put(i, 1);
    env = cliEnv(undefined, { S3_CONSENSUS_STORE: server.url("many", "app"), AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" });
  });

  it("cost one LIST a look, and a GET for each that has changed", { timeout: 60_000 }, async () => {
    const kinds = (from: number): string[] => server.requests.all.slice(from).map(({ operation }) => operation);
    const start = server.requests.all.length;
    const watching = startCli(["watch", "--interval", "1s"], { env });
    await expect.poll(() => watching.out().split("\n").length, { timeout: 30_000 }).toBe(LOCKS + 1);
    const first = kinds(start);
    expect(first.filter((kind) => kind === "GetObject")).toHaveLength(LOCKS);
    // The looks that follow: five have changed, and five are asked for.
    const calm = server.requests.all.length;
    for (let i = 0; i < 5; i++) put(200 * i, 2);
    await expect.poll(() => watching.out().split("\n").length, { timeout: 30_000 }).toBe(LOCKS + 6);
    const looked = server.requests.all.length;
    await expect.poll(() => server.requests.all.length - looked, { timeout: 30_000 }).toBeGreaterThanOrEqual(2);
    watching.signal("SIGINT");
    const { status, out } = await watching.exit;
    expect(status).toBe(130);
    const later = kinds(calm);
    expect(later.filter((kind) => kind === "GetObject")).toHaveLength(5);
    expect(later.filter((kind) => kind !== "GetObject").every((kind) => kind === "ListObjects")).toBe(true);
    for (const line of out.trim().split("\n").slice(-5)) {
      expectShape("lease", JSON.parse(line));
      expect(JSON.parse(line)).toMatchObject({ event: "changed", fencingToken: 2 });
    }
  });

  it.each(TERMINALS)("stay readable in a terminal (%s), whatever its size", { timeout: 60_000 }, async (kind) => {
    const terminal = await openTerminal(kind, [process.execPath, CLI, "watch", "lock-", "--interval", "500ms"], {
      columns: 80,
      rows: 24,
      env,
    });
    await terminal.shows(/1000 held, 0 free {3}every 500 ms: 1 LIST, 0 GET[^]*lock-0000[^]*lock-0019[^]*1 to 20 of 1000/);
    await terminal.type("\u001B[6~");
    await terminal.shows(/lock-0020[^]*lock-0039[^]*21 to 40 of 1000/);
    await terminal.resize(120, 40);
    await terminal.shows(/lock-0020[^]*lock-0055[^]*21 to 56 of 1000/);
    await terminal.type("\u001B[1~");
    // Whatever changes hands far below comes to the top.
    put(777, kind === "tmux" ? 8 : 9);
    await terminal.shows(/VERSION\n▸ lock +lock-0777 +worker-0 +[89] /);
    await terminal.type("oo");
    await terminal.shows(/order: by name/);
    await terminal.resize(60, 12);
    await terminal.shows(/1000 held[^]*order: by name/);
    await terminal.type("q");
    const [end] = await terminal.shows(/1000 held[^]*lock-00[^]*exit \d+/);
    expect(end).toContain("exit 0");
  });
});
