/** What messages tell an operator to do about a lease's object: the command line's own words for it. */
import { unescapeName } from "./keys.ts";

const KINDS = { elections: "election", locks: "lock", ephemeral: "ephemeral", members: "member", tasks: "task" } as const;
/** What the command line takes for the prefix where none is said. */
const USUAL_PREFIX = "locks/";

/** The command for the object at `key`; `undefined` where it is no lease's. */
export function commandFor(key: string, command: "repair" | "accept-regression" | "force-unlock", more = ""): string | undefined {
  const [, prefix = "", space = "", segment = ""] = /^(.*\/|)(elections|locks|ephemeral|members|tasks)\/([^/]+)$/s.exec(key) ?? [];
  const name = unescapeName(segment);
  if (segment === "" || name === undefined) return undefined;
  const kind = KINDS[space as keyof typeof KINDS];
  return [
    `s3-consensus ${command}`,
    ...(prefix === USUAL_PREFIX ? [] : [`--prefix ${quoted(prefix)}`]),
    ...(kind === "lock" ? [] : [`--kind ${kind}`]),
    ...(more === "" ? [] : [more]),
    // A name that begins like an option is none.
    ...(name.startsWith("-") ? ["--", quoted(name)] : [quoted(name)]),
  ].join(" ");
}

/** As a sentence that ends a message; empty where there is no such command. */
export function wayOut(key: string, command: "repair" | "accept-regression", more?: string): string {
  const text = commandFor(key, command, more);
  return text === undefined ? "" : `. The way out: ${text}`;
}

function quoted(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
