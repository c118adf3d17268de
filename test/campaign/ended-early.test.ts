/** Ctrl-C in the middle of a campaign: what was seen until then is reported, and nothing stays behind. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { whenFinished } from "../support/finish.ts";
import { adopt, removeFolder, temporaryFolder } from "../support/reaper.ts";

const PROGRAM = join(import.meta.dirname, "../../.cache/build/test/campaign/main.js");

it("reports what there is, claims no more, and leaves no process", { timeout: 300_000 }, async () => {
  const cwd = temporaryFolder("campaign");
  whenFinished(() => removeFolder(cwd));
  const child = spawn(process.execPath, [PROGRAM, "--minutes", "2", "--seed", "7", "--nodes", "3"], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  adopt(child);
  let told = "";
  child.stdout.resume();
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (told += chunk));
  await expect.poll(() => told, { timeout: 200_000 }).toContain("kill -9 for");
  const children = childrenOf(child.pid as number);
  expect(children.length).toBeGreaterThan(3);
  child.kill("SIGINT");
  expect(await once(child, "exit")).toEqual([130, null]);
  const report = JSON.parse(readFileSync(join(cwd, ".cache/report/campaign.json"), "utf8")) as {
    readonly ok: boolean;
    readonly problems: string[];
  };
  expect(report).toMatchObject({ ok: false, seed: 7, overlaps: 0 });
  expect(report.problems).toEqual([expect.stringMatching(/^ended early, after \d+ phases/)]);
  expect(readFileSync(join(cwd, ".cache/report/campaign.txt"), "utf8")).toContain("acquisitions");
  expect(readFileSync(join(cwd, ".cache/campaign/seed-7/history.jsonl"), "utf8")).toContain('"type":"attempt"');
  await expect.poll(() => children.filter(isRunning), { timeout: 60_000 }).toEqual([]);
});

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
}

/** What has ended may wait for whoever collects it. */
function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
