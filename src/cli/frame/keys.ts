/** What a terminal in raw mode sends, as keys. Pure. */

export type Key = "up" | "down" | "page-up" | "page-down" | "home" | "end" | "tab" | "interrupt" | "suspend" | (string & {});

const NAMES: Readonly<Record<string, Key>> = {
  "\u001B[A": "up",
  "\u001BOA": "up",
  "\u001B[B": "down",
  "\u001BOB": "down",
  "\u001B[Z": "up",
  "\u001B[5~": "page-up",
  "\u001B[6~": "page-down",
  "\u001B[H": "home",
  "\u001BOH": "home",
  "\u001B[1~": "home",
  "\u001B[F": "end",
  "\u001BOF": "end",
  "\u001B[4~": "end",
  "\t": "tab",
  "\u0003": "interrupt",
  "\u001A": "suspend",
};

/** An escape sequence, or one character. */
// eslint-disable-next-line no-control-regex -- that is how terminals speak.
const SEQUENCE = /\u001B(?:\[[0-?]*[ -/]*[@-~]|O.)|[^]/gu;

/** In order. Sequences that mean nothing here are left out; a letter is itself. */
export function keysOf(text: string): Key[] {
  return (text.match(SEQUENCE) ?? []).flatMap((sequence): Key[] => {
    const named = NAMES[sequence];
    if (named !== undefined) return [named];
    return sequence.startsWith("\u001B") ? [] : [sequence];
  });
}
