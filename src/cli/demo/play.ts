/** The demo from its first line to its verdict. */
import process from "node:process";
import { messageOf } from "../../errors.ts";
import type { Stats } from "../../store/object-store.ts";
import { s3Store } from "../../store/s3.ts";
import { interruption } from "./interruption.ts";
import { boundsOf, type DemoOptions } from "./options.ts";
import { Screen } from "./screen.ts";
import { type Stage, stageOf } from "./stage.ts";
import { Story } from "./story.ts";
import { type Check, type History, seconds, verdict } from "./verdict.ts";
import { WORDS } from "./words.ts";

/** @returns the exit status: 0 only if everything in it held. */
export async function play(options: DemoOptions): Promise<number> {
  const words = WORDS[options.prize];
  const screen = new Screen(process.stdout, options.ttlMs, process.hrtime.bigint(), words);
  const { signal, caught } = interruption();
  let stage: Stage | undefined;
  try {
    stage = await stageOf(options.store);
    screen.print(`ttl ${seconds(options.ttlMs)}, poll ${seconds(options.pollMs)}, store: ${stage.where}`);
    screen.print();
    const store = s3Store(stage.url);
    await store.ensureSafe({ signal });
    screen.tell("·", `the store keeps its conditions (shown by ${requestsOf(store.stats())} requests)`, "dim");
    const history = await new Story({ options, url: stage.url, screen, signal }).tell();
    const checks = verdict(history, boundsOf(options), words);
    summarise(screen, history, checks);
    return checks.every((c) => c.ok) ? 0 : 1;
  } catch (e) {
    screen.print(`\n${screen.style("red", `The demo did not come to its end: ${messageOf(e)}`)}`);
    return caught() ?? 1;
  } finally {
    await stage?.close();
  }
}

function summarise(screen: Screen, { beliefs, requests }: History, checks: readonly Check[]): void {
  screen.print();
  for (const check of checks) {
    const mark = check.ok ? screen.style("green", "✓") : screen.style(["bold", "red"], "✗ FAILED");
    screen.print(`  ${mark} ${check.name.padEnd(10)} ${check.text}`);
    if (check.name !== "tenancies") continue;
    const at = (ns: bigint | undefined): string => (ns === undefined ? "?" : screen.since(ns).toFixed(3));
    for (const b of beliefs)
      screen.print(`      token ${b.token}  ${b.node}  believed from ${at(b.fromNs)} s to ${at(b.untilNs)} s, ${b.end ?? "no end seen"}`);
  }
  const counts = Object.entries(requests).map(([node, { get, put }]) => `${node} ${get} GET + ${put} PUT`);
  screen.print(`    requests   ${counts.join(", ")}`);
  screen.print();
  const failed = checks.filter((c) => !c.ok).length;
  screen.print(
    failed === 0
      ? screen.style(["bold", "green"], "All of it held.")
      : screen.style(["bold", "red"], `${failed} of ${checks.length} did not hold.`),
  );
}

function requestsOf({ get = 0, put = 0, list = 0, delete: removed = 0 }: Stats): number {
  return get + put + list + removed;
}
