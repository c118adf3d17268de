/** The demo as a person has it: in a real terminal, by keys. */
import { describe, expect, it } from "vitest";
import { CLI, cliEnv } from "../support/cli.ts";
import { openTerminal, TERMINALS, type Terminal } from "../support/terminal.ts";

const SMALL = { columns: 80, rows: 24 };

function demo(kind: "tmux" | "script", args: readonly string[], size = SMALL): Promise<Terminal> {
  return openTerminal(kind, [process.execPath, CLI, "demo", "--ttl", "2s", "--poll", "500ms", ...args], { ...size, env: cliEnv() });
}

/** The node of the leader, as the screen tells. */
async function leaderOf(terminal: Terminal, states = "leads"): Promise<number> {
  return Number((await terminal.shows(new RegExp(`node-(\\d) {2,}${states}, token`)))[1]);
}

describe.each(TERMINALS)("demo in a terminal (%s)", (kind) => {
  it("kills, pauses, goes on, cuts off, adds, stops, quits; and says that never two believed", { timeout: 120_000 }, async () => {
    const terminal = await demo(kind, []);
    const first = await leaderOf(terminal);
    // Nothing is wider than the window, and the keys are told on it.
    const lines = await terminal.screen();
    expect(lines.filter((line) => Array.from(line).length > SMALL.columns)).toEqual([]);
    expect(lines.join("\n")).toMatch(/▸ node-1 {3}p pause {3}c continue {3}s stop {3}d disconnect\n.*1–9 kill -9.*n new node.*q quit/);

    await terminal.type(String(first));
    await terminal.shows(new RegExp(`node-${first} +killed`));
    const second = await leaderOf(terminal);
    expect(second).not.toBe(first);

    // The one that was killed is chosen; its key n has started it again.
    await terminal.type("n");
    await terminal.shows(new RegExp(`▸ node-${first} +(follows|waits)`));
    // The arrow goes down to the leader, around the end.
    for (let at = first; at !== second; at = (at % 3) + 1) await terminal.type("\u001B[B");
    await terminal.type("p");
    await terminal.shows(new RegExp(`▸ node-${second} +paused; had token 2`));
    await terminal.shows(/leads, token 3/);
    await terminal.type("c");
    await terminal.shows(new RegExp(`node-${second} leads no longer: (expired|frozen)`));
    await terminal.shows(/✓ overlap 0: never two.*3 terms, tokens 1 to 3/);

    await terminal.type("d");
    await terminal.shows(new RegExp(`▸ node-${second} .*cut off`));
    await terminal.shows(/d connect/);
    await terminal.type("d");
    await terminal.shows(/reaches the store again/);
    await terminal.type("s");
    await terminal.shows(new RegExp(`node-${second} +stopped in good order`));
    await terminal.type("p");
    await terminal.shows(new RegExp(`node-${second} does not run`));

    await terminal.type("q");
    await terminal.shows(/✓ overlap 0: at no moment did two processes believe that they lead\n✓ each token is higher[^]*exit 0/);
  });

  it("demo lock: the holder works and gives it back, the others show who holds it; Ctrl-C ends it all", { timeout: 60_000 }, async () => {
    const terminal = await demo(kind, ["lock"]);
    await leaderOf(terminal, "holds the lock");
    await terminal.shows(/waits for node-\d/);
    await terminal.shows(/holds it no longer: released\n.*holds the lock, token \d/);
    await terminal.resize(130, 40);
    await terminal.shows(/LAST \d+ SECONDS\n.*node-1.*[·▌█]{20}/);
    await terminal.type("\u0003");
    const [end] = await terminal.shows(/✓ overlap 0: at no moment did two processes believe that they hold it[^]*exit \d+/);
    expect(end).toContain("exit 130");
  });
});
