/** The demo on a terminal, from its first frame to what is left on the screen after it. */
import process from "node:process";
import { messageOf } from "../../../errors.ts";
import { s3Store } from "../../../store/s3.ts";
import { FullScreen } from "../../frame/full-screen.ts";
import { Output } from "../../frame/output.ts";
import { interruption } from "../interruption.ts";
import type { DemoOptions } from "../options.ts";
import { type Stage, stageOf } from "../stage.ts";
import { type Belief, overlapNs } from "../verdict.ts";
import { WORDS } from "../words.ts";
import { Live } from "./live.ts";
import { frameOf, type Scene } from "./scene.ts";

/** @returns the exit status: 0 unless two believed at once, or a token went back. */
export async function playLive(options: DemoOptions): Promise<number> {
  const out = new Output(process.stdout, false);
  const { signal, caught } = interruption();
  let stage: Stage | undefined;
  let live: Live | undefined;
  let screen: FullScreen | undefined;
  try {
    stage = await stageOf(options.store);
    await s3Store(stage.url).ensureSafe({ signal });
    const shown = new Live({ options, url: stage.url, where: stage.where });
    live = shown;
    const draw = (scene: Scene): void => screen?.draw(frameOf(scene, screen, out.style));
    screen = new FullScreen({
      input: process.stdin,
      output: process.stdout,
      onKey: (key) => shown.press(key),
      onResize: () => draw(shown.scene()),
    });
    await live.run(draw, signal);
  } catch (e) {
    screen?.close();
    out.line(out.style("red", `The demo did not come to its end: ${messageOf(e)}`));
    return caught() ?? 1;
  } finally {
    screen?.close();
    await stage?.close();
  }
  const held = summarise(out, live.beliefs, options);
  return caught() ?? (held ? 0 : 1);
}

/** What is left on the terminal: who believed when, and whether that was right. */
function summarise(out: Output, beliefs: readonly Belief[], { prize }: DemoOptions): boolean {
  const words = WORDS[prize];
  const fromNs = beliefs[0]?.fromNs ?? 0n;
  const at = (ns: bigint | undefined): string => (ns === undefined ? "?" : `${(Number(ns - fromNs) / 1e9).toFixed(3)} s`);
  out.table(
    ["TOKEN", "NODE", "FROM", "TO", "END"],
    beliefs.map((b) => [String(b.token), b.node, at(b.fromNs), at(b.untilNs), b.end ?? "no end seen"]),
  );
  const overlap = overlapNs(beliefs);
  const rising = beliefs.every((b, i) => i === 0 || b.token > (beliefs[i - 1]?.token ?? 0));
  const line = (ok: boolean, text: string): void =>
    out.line(`${ok ? out.style("green", "✓") : out.style(["bold", "red"], "✗ FAILED")} ${text}`);
  out.line();
  line(overlap === 0n, overlap === 0n ? `overlap 0: ${words.noOverlap}` : `${(Number(overlap) / 1e6).toFixed(3)} ms ${words.twoLeaders}`);
  line(rising, rising ? "each token is higher than the one before" : "a token is not higher than the one before");
  return overlap === 0n && rising;
}
