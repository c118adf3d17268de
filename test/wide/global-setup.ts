/** At the end of the wide tier: what it measured, and what was left out on purpose. */
import { forgetNotes, notesTable } from "./report.ts";
import { leaveOutVariable, leftOut } from "./servers/left-out.ts";

export function setup(): () => void {
  forgetNotes();
  return () => {
    const table = notesTable();
    if (table !== undefined) process.stderr.write(`\n${table}\n\n`);
    for (const name of leftOut()) process.stderr.write(`[test servers] NOT RUN: everything on ${name} (${leaveOutVariable(name)}=1)\n`);
  };
}
