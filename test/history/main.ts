/** `npm run check-history -- file.jsonl`: exit 0 for a history that can have happened, 1 for one that can't, 2 for a file that can't be read. */
import { readFileSync } from "node:fs";
import process from "node:process";
import { checkHistory } from "../../src/testing/history/check-history.ts";
import { formatContradiction } from "../../src/testing/history/contradiction.ts";
import { parseHistory } from "../../src/testing/history/parse.ts";

const USAGE = `Usage: check-history [--incomplete] FILE.jsonl ("-" reads standard input)
  --incomplete  the history lacks some requests: claim nothing that only their absence would prove`;

function main(args: readonly string[]): number {
  const files = args.filter((arg) => arg === "-" || !arg.startsWith("-"));
  const unknown = args.filter((arg) => !files.includes(arg) && arg !== "--incomplete");
  const [file] = files;
  if (file === undefined || files.length > 1 || unknown.length > 0) {
    console.error(unknown.length > 0 ? `unknown option ${unknown.join(", ")}\n${USAGE}` : USAGE);
    return 2;
  }
  let text: string;
  try {
    text = readFileSync(file === "-" ? 0 : file, "utf8");
    return judge(text, !args.includes("--incomplete"));
  } catch (error) {
    console.error(`${file}: ${error instanceof Error ? error.message : String(error)}`);
    return 2;
  }
}

function judge(text: string, complete: boolean): number {
  const lines = parseHistory(text);
  if (lines.length === 0) throw new Error("it has no attempt, no belief and no fenced write in it: nothing was checked");
  const verdict = checkHistory(lines, { complete });
  const c = verdict.counts;
  console.log(
    `${c.attempts} attempts on ${c.keys} keys (${c.appliedWrites} writes carried out, ${c.unseenWrites} of unknown fate never seen, ${c.unjudged} not judged), ` +
      `${c.beliefs} beliefs, ${c.fencedWrites} fenced writes (${c.refusedFencedWrites} refused)`,
  );
  const [smallest] = verdict.contradictions;
  if (smallest === undefined) {
    console.log("linearizable: no contradiction");
    return 0;
  }
  console.log(`NOT linearizable: ${verdict.contradictions.length} contradiction(s); the smallest:\n${formatContradiction(smallest)}`);
  return 1;
}

process.exitCode = main(process.argv.slice(2));
