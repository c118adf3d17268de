/** The demo's screen by keys: what each key means, what the screen says, what a process that was stopped may have believed. Pure parts alone. */
import { describe, expect, it } from "vitest";
import { actionOf } from "../../src/cli/demo/live/actions.ts";
import { frameOf, historyText, type Row, type Scene } from "../../src/cli/demo/live/scene.ts";
import type { Belief } from "../../src/cli/demo/verdict.ts";
import { WORDS } from "../../src/cli/demo/words.ts";
import { clip, ENTER, frameText, FullScreen, LEAVE } from "../../src/cli/frame/full-screen.ts";
import { keysOf } from "../../src/cli/frame/keys.ts";
import { width } from "../../src/cli/frame/output.ts";

const plain = (_: unknown, text: string): string => text;
const row = (number: number, more: Partial<Row> = {}): Row => ({
  number,
  node: `node-${number}`,
  condition: "follows",
  token: undefined,
  remainingMs: undefined,
  sees: "node-1",
  cutOff: false,
  requests: 12,
  ...more,
});
const belief = (node: string, token: number, fromMs: number, untilMs: number): Belief => ({
  node,
  token,
  fromNs: BigInt(fromMs) * 1_000_000n,
  electedNs: BigInt(fromMs) * 1_000_000n,
  untilNs: BigInt(untilMs) * 1_000_000n,
  end: "killed",
});
const scene: Scene = {
  words: WORDS.election,
  ttlMs: 6000,
  pollMs: 2000,
  where: "an S3 server in this process",
  rows: [
    row(1, { condition: "leads", token: 12, remainingMs: 3000 }),
    row(2, { cutOff: true }),
    row(3, { condition: "paused", token: 11, remainingMs: -200 }),
    row(4, { condition: "killed" }),
    row(5, { condition: "stopped" }),
    row(6, { condition: "failed" }),
  ],
  selected: 2,
  log: Array.from({ length: 50 }, (_, i) => ({ atMs: i * 1000, mark: "·", text: `event ${i}`, style: "reset" as const })),
  beliefs: [belief("node-3", 11, 0, 6000), belief("node-1", 12, 7000, 10_000)],
  nowNs: 10_000_000_000n,
  hint: undefined,
};

describe("keys", () => {
  it("are letters, arrows however a terminal spells them, and what Ctrl makes of letters", () => {
    expect(keysOf("p1\u001B[A\u001BOB\u001B[6~\t\u0003\u001A\u001B[H\u001B[4~")).toEqual([
      "p",
      "1",
      "up",
      "down",
      "page-down",
      "tab",
      "interrupt",
      "suspend",
      "home",
      "end",
    ]);
    // Unknown sequences are no letters: an "A" of Ctrl-arrow is nobody's key.
    expect(keysOf("\u001B[1;5Aé\u001B[200~")).toEqual(["é"]);
    expect(keysOf("")).toEqual([]);
  });

  it("1 to 9 kill, p c s d act on the chosen one, n adds, q quits, arrows choose; nothing else does anything", () => {
    expect(actionOf("7")).toEqual({ kind: "kill", number: 7 });
    expect(["p", "c", "s", "d", "n", "q", "P"].map((key) => actionOf(key)?.kind)).toEqual([
      "pause",
      "continue",
      "stop",
      "connection",
      "add",
      "quit",
      "pause",
    ]);
    expect(["up", "down", "tab", "k", "j"].map((key) => actionOf(key))).toEqual([-1, 1, 1, -1, 1].map((by) => ({ kind: "select", by })));
    expect(["0", "x", "page-down", " ", "10"].map((key) => actionOf(key))).toEqual(Array(5).fill(undefined));
  });
});

describe("the screen", () => {
  it.each([
    [80, 24],
    [100, 30],
    [120, 40],
    [200, 60],
  ])("fits %i × %i to the line, with the newest events, the verdict and the keys on it", (columns, rows) => {
    const lines = frameOf(scene, { columns, rows }, plain);
    expect(lines).toHaveLength(rows);
    expect(lines.filter((line) => width(line) > columns)).toEqual([]);
    const text = lines.join("\n");
    expect(text).toContain("✓ overlap 0: never two that believe they lead   2 terms, tokens 11 to 12");
    expect(text).toContain("event 49");
    for (const key of ["p pause", "c continue", "s stop", "d connect", "1–9 kill -9", "n new node", "q quit"]) expect(text).toContain(key);
  });

  it("says of each node what it does, and marks the one that the keys are about", () => {
    const text = frameOf(scene, { columns: 80, rows: 24 }, plain).join("\n");
    expect(text).toMatch(/ {3}node-1 {2}leads, token 12 +█{8}░{8} {2}3\.0 s +12\n/);
    expect(text).toMatch(/ ▸ node-2 {2}follows node-1, cut off +12\n/);
    expect(text).toMatch(/ {3}node-3 {2}paused; had token 11 +░{16} {2}over +12\n/);
    expect(text).toMatch(/node-4 {2}killed .*\n.*node-5 {2}stopped in good order .*\n.*node-6 {2}ended by itself /);
    expect(text).toMatch(/\n ▸ node-2 {3}p pause/);
  });

  it("tells two believers at once, and why a key did nothing", () => {
    const wrong = { ...scene, beliefs: [...scene.beliefs, belief("node-2", 13, 9_500, 10_000)], hint: "node-4 does not run" };
    const text = frameOf(wrong, { columns: 80, rows: 24 }, plain).join("\n");
    expect(text).toContain("✗ overlap: 500.000 ms with two leaders");
    expect(text).toContain("node-4 does not run");
  });

  it("a wide one shows who held it in each of the last seconds", () => {
    expect(historyText("node-3", scene, 12)).toBe("··██████····");
    expect(historyText("node-1", scene, 4)).toBe("·███");
    expect(historyText("node-1", { ...scene, nowNs: 9_500_000_000n }, 4)).toBe("·▌██");
    expect(frameOf(scene, { columns: 80, rows: 24 }, plain)[3]).not.toContain("SECONDS");
    expect(frameOf(scene, { columns: 120, rows: 40 }, plain)[3]).toMatch(/LAST \d+ SECONDS/);
  });
});

describe("a full screen", () => {
  function terminal() {
    const events = new Map<string, (text: string) => void>();
    const calls: string[] = [];
    const port = {
      isTTY: true,
      columns: 20,
      rows: 5,
      text: "",
      on: (event: string, fn: (text: string) => void) => events.set(event, fn),
      off: (event: string) => events.delete(event),
      write: (text: string) => (port.text += text),
      setRawMode: (raw: boolean) => calls.push(`raw ${raw}`),
      setEncoding: () => undefined,
      resume: () => calls.push("resume"),
      pause: () => calls.push("pause"),
    };
    return { port, events, calls };
  }

  it("gives the terminal back as it was, once, and listens to nothing after that", () => {
    const { port, events, calls } = terminal();
    const keys: string[] = [];
    let resized = 0;
    const screen = new FullScreen({ input: port, output: port, onKey: (key) => keys.push(key), onResize: () => resized++ });
    expect(port.text).toBe(ENTER);
    events.get("data")?.("q\u001B[A");
    events.get("resize")?.("");
    expect([keys, resized]).toEqual([["q", "up"], 1]);
    port.text = "";
    screen.draw(["one", "two".repeat(10)]);
    expect(port.text).toBe("\u001B[Hone\u001B[K\r\ntwotwotwotwotwotwotw\u001B[K\u001B[J");
    port.text = "";
    screen.close();
    screen.close();
    screen.draw(["late"]);
    expect(port.text).toBe(LEAVE);
    expect(calls).toEqual(["raw true", "resume", "raw false", "pause", "pause"]);
    expect([...events]).toEqual([]);
  });

  it("has no more lines than the window, and cuts without losing the end of a style", () => {
    expect(frameText(["a", "b", "c"], 10, 2)).toBe("\u001B[Ha\u001B[K\r\nb\u001B[K\u001B[J");
    expect(clip("\u001B[32mgreen\u001B[39m and more", 7)).toBe("\u001B[32mgreen\u001B[39m a");
    expect(clip("\u001B[32mgreen\u001B[39m", 3)).toBe("\u001B[32mgre\u001B[39m");
    expect(clip("▸ short", 7)).toBe("▸ short");
  });
});
