/** What a run of the wide tier measured, for its dated table in docs/wide.md: each test file writes its lines, the end of the run prints them. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CACHE } from "../support/find-servers.ts";

const NOTES = join(CACHE, "report/wide-notes.jsonl");

export interface Note {
  readonly store: string;
  readonly version: string;
  readonly verdict: string;
  /** What the store answers, and how often. */
  readonly showed: string;
}

export function forgetNotes(): void {
  mkdirSync(join(NOTES, ".."), { recursive: true });
  rmSync(NOTES, { force: true });
}

export function note(line: Note): void {
  mkdirSync(join(NOTES, ".."), { recursive: true });
  appendFileSync(NOTES, `${JSON.stringify(line)}\n`);
}

/** As a table in Markdown; undefined where nothing was noted. */
export function notesTable(): string | undefined {
  if (!existsSync(NOTES)) return undefined;
  const lines = readFileSync(NOTES, "utf8").trim().split("\n");
  const rows = lines.map((line) => {
    const { store, version, verdict, showed } = JSON.parse(line) as Note;
    return `| ${store} | ${version} | ${verdict} | ${showed.replaceAll("|", "\\|")} |`;
  });
  return ["| Store | Version | Verdict | What it showed |", "| --- | --- | --- | --- |", ...rows.sort()].join("\n");
}
