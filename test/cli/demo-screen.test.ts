import { describe, expect, it } from "vitest";
import type { Actor } from "../../src/cli/demo/cast.ts";
import { type Output, Screen } from "../../src/cli/demo/screen.ts";

function output(more: Partial<Output> = {}): Output & { text: string } {
  const out = { text: "", ...more, write: (text: string) => (out.text += text) };
  return out;
}

const status = { kind: "status", atNs: 0n, requests: { get: 2, put: 1 } } as const;
const actors: Actor[] = [
  { node: "A", pid: 11, exit: undefined, status: { ...status, leads: { token: 7, remainingMs: 3000 }, sees: "A" } },
  { node: "B", pid: 12, exit: undefined, status: { ...status, leads: undefined, sees: "A" } },
  {
    node: "C",
    pid: 13,
    exit: { node: "C", code: null, signal: "SIGKILL" },
    status: { ...status, leads: { token: 6, remainingMs: 1 }, sees: "C" },
  },
];
const terminal = { isTTY: true, columns: 100 };

describe("the demo's screen", () => {
  it("without a terminal: plain lines, and no panel", () => {
    const out = output({ hasColors: () => true });
    const screen = new Screen(out, 6000, process.hrtime.bigint());
    screen.draw(actors);
    screen.tell("●", "A leads", "green");
    screen.tellState(actors);
    expect(out.text).not.toContain("\u001B");
    expect(out.text.split("\n")).toHaveLength(3);
    expect(out.text).toMatch(/A leads {2}token 7 {2}deadline in 3\.0 s +requests A 3, B 3, C 3/);
  });

  it("without a terminal: who is still believed to lead is told, the dead left out", () => {
    const out = output();
    new Screen(out, 6000, process.hrtime.bigint()).tellState(actors.slice(1));
    expect(out.text).toContain("nobody leads; the others still see A");
  });

  it("on a terminal: the panel is taken away before the next line, and drawn anew", () => {
    const out = output({ ...terminal, hasColors: () => false });
    const screen = new Screen(out, 6000, process.hrtime.bigint());
    screen.draw(actors);
    expect(out.text.split("\n").slice(1, 4)).toEqual([
      expect.stringMatching(/A {2}pid 11 +leads, token 7 +█{10}░{10} {2}3\.0 s left +3 requests/),
      expect.stringMatching(/B {2}pid 12 +follows A +3 requests/),
      expect.stringMatching(/C {2}pid 13 +killed/),
    ]);
    out.text = "";
    screen.print("news");
    expect(out.text).toBe("\u001B[4A\r\u001B[Jnews\n");
    out.text = "";
    screen.print("more news");
    expect(out.text).toBe("more news\n");
  });

  it("no row is wider than the terminal: a wrapped line could not be taken away", () => {
    const out = output({ isTTY: true, columns: 40 });
    new Screen(out, 6000, process.hrtime.bigint()).draw(actors);
    expect(Math.max(...out.text.split("\n").map((line) => line.length))).toBeLessThan(40);
  });

  it("colours only where the terminal has them (NO_COLOR is asked by the stream itself)", () => {
    const plain = output({ ...terminal, hasColors: () => false });
    new Screen(plain, 6000, 0n).tell("●", "A leads", "green");
    expect(plain.text).not.toContain("\u001B");
    const coloured = output({ ...terminal, hasColors: () => true });
    new Screen(coloured, 6000, 0n).tell("●", "A leads", "green");
    expect(coloured.text).toContain("\u001B[32m");
  });
});
