import { readFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../src/errors.ts";
import type { Edit, Mutant } from "../sim/proof/mutants.ts";

/** The text with an edit, however a formatter wraps it. @throws Error when what is to be replaced does not stand there exactly once. */
export function applied(text: string, { file, find, put }: Edit): string {
  const words = find.trim().split(/\s+/);
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const found = [...text.matchAll(new RegExp(escaped.join("\\s+"), "g"))];
  const [only] = found;
  if (found.length !== 1 || only === undefined) throw new Error(`${file}: found ${found.length} times instead of once: ${find}`);
  return `${text.slice(0, only.index)}${put.trim()}${text.slice(only.index + only[0].length)}`;
}

/** What does not fit the sources below `root` any more. */
export function misfits(root: string, mutants: readonly Mutant[]): string[] {
  return mutants.flatMap(({ id, edits }) => {
    const texts = new Map<string, string>();
    try {
      for (const edit of edits) texts.set(edit.file, applied(texts.get(edit.file) ?? readFileSync(join(root, edit.file), "utf8"), edit));
      return [];
    } catch (error) {
      return [`${id}: ${messageOf(error)}`];
    }
  });
}
