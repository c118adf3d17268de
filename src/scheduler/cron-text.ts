/**
 * What people write as a cron expression: five fields (minute, hour, day of month, month, day of week) or six (seconds first), or a nickname.
 * It is read completely here, so that every fault names its field, and comes out in numbers alone, so that a name, a nickname or an `H` means
 * the same on every node, whatever version of the calendar's library it has.
 */
import { nearestName, show } from "../options.ts";

export interface CronText {
  /** Six fields, each `*` or plain values in order: the same text for whatever means the same and was only written differently. */
  readonly expression: string;
  /** The hour field begins with `*`: such a task follows real time at a change of the clocks. */
  readonly everyHour: boolean;
}

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Names of values, from `min` on. */
  readonly names?: readonly string[];
}

/** A value, or a form that the calendar knows by itself: `L`, `5L`, `5#2`. */
type Value = number | string;

const SECOND: Field = { name: "second", min: 0, max: 59 };
const MINUTE: Field = { name: "minute", min: 0, max: 59 };
const HOUR: Field = { name: "hour", min: 0, max: 23 };
const DAY: Field = { name: "day of month", min: 1, max: 31 };
const MONTH: Field = {
  name: "month",
  min: 1,
  max: 12,
  names: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/** Sunday is 0, and 7 as well. */
const WEEKDAY: Field = { name: "day of week", min: 0, max: 7, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };
const FIELDS: readonly Field[] = [SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY];

const DAYS_IN_MONTH: readonly number[] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const NICKNAMES: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

const MAX_LENGTH = 512;

const SHAPE = "5 fields (minute, hour, day of month, month, day of week) or 6 (seconds first)";

/** Reads an expression, or says each of its faults. `seed` decides what an `H` stands for. */
export function readCron(text: string, seed: string): CronText | { readonly faults: readonly string[] } {
  const refused = (right: string): { readonly faults: readonly string[] } => ({ faults: [`cron is ${show(text)}: expected ${right}`] });
  if (text.length > MAX_LENGTH) return refused(`at most ${MAX_LENGTH} characters, got ${text.length}`);
  const bare = text.trim();
  if (bare === "") return refused(`${SHAPE}, got none`);
  const plain = bare.startsWith("@") ? NICKNAMES[bare.toLowerCase()] : bare;
  if (plain === undefined) return refused(nicknameMeant(bare));
  const words = plain.split(/\s+/);
  if (words.length < 5 || words.length > 6) return refused(`${SHAPE}, got ${words.length}`);
  const written = words.length === 5 ? ["0", ...words] : words;
  const read = FIELDS.map((field, i) => readField(field, (written[i] ?? "").toLowerCase(), `${seed}\n${field.name}`));
  const faults = read.flatMap((field, i) =>
    typeof field === "string" ? [`cron is ${show(text)}: ${FIELDS[i]?.name ?? ""} is ${show(written[i])}: expected ${field}`] : [],
  );
  if (faults.length > 0) return { faults };
  const fields = read.filter((field) => typeof field !== "string");
  const [, , hour = "", day = "", month = "", weekday = ""] = written;
  if (isFree(weekday) && neverComes(fields[3] ?? [], fields[4] ?? []))
    return refused(`a day that comes: day of month ${show(day)} is in none of the months ${show(month)}`);
  return {
    expression: fields.map((values, i) => (isFree(written[i] ?? "") ? "*" : values.join(","))).join(" "),
    everyHour: hour.startsWith("*"),
  };
}

function nicknameMeant(bare: string): string {
  const names = Object.keys(NICKNAMES);
  const nearest = nearestName(bare, names);
  return `one of ${names.join(", ")}${nearest === undefined ? "" : `; did you mean ${nearest}?`}`;
}

function isFree(word: string): boolean {
  return word === "*" || word === "?";
}

/** The values of a field, rising and each once, or what would be right. `word` is in small letters. */
function readField(field: Field, word: string, seed: string): readonly Value[] | string {
  const values = new Set<Value>();
  const parts = word.split(",");
  for (const part of parts) {
    const read = readSpecial(field, part, parts.length) ?? readHashed(field, part, seed) ?? readItem(field, part);
    if (typeof read === "string") return read;
    for (const value of read) values.add(field === WEEKDAY && value === 7 ? 0 : value);
  }
  const rank = (value: Value): number => (typeof value === "number" ? value : field.max + 1);
  return [...values].sort((a, b) => rank(a) - rank(b));
}

/** `5`, `1-5`, `*`, each with or without a step. */
function readItem(field: Field, part: string): readonly Value[] | string {
  const [, first, last, stepText] = /^(\*|\?|[a-z0-9]+)(?:-([a-z0-9]+))?(?:\/(\d+))?$/.exec(part) ?? [];
  const free = first === "*" || (first === "?" && (field === DAY || field === WEEKDAY));
  if (first === undefined || (free && last !== undefined) || (first === "?" && !free)) return anItem(field);
  const from = free ? field.min : valueOf(field, first);
  if (from === undefined) return aValue(field);
  // As a range's end Sunday is the week's last day: `fri-sun`.
  const lastValue = last === undefined ? undefined : valueOf(field, last);
  if (last !== undefined && lastValue === undefined) return aValue(field);
  const open = free || (stepText !== undefined && last === undefined);
  const to = open ? topOf(field) : field === WEEKDAY && lastValue === 0 && from > 0 ? 7 : (lastValue ?? from);
  if (to < from) return `a range that rises (${field.min} to ${field.max})`;
  const step = stepText === undefined ? 1 : Number(stepText);
  const most = to - from + 1;
  return step >= 1 && step <= most ? steps(from, to, step) : `a step from 1 to ${most}`;
}

/** `L`: the month's last day; `5L`, `friL`: its last Friday; `5#2`: its second one. */
function readSpecial(field: Field, part: string, parts: number): readonly Value[] | string | undefined {
  if (field === DAY && part === "l") return ["L"];
  const [, name, last, nth] = /^([a-z]{3}|\d+)(?:(l)|#(.*))$/.exec(field === WEEKDAY ? part : "") ?? [];
  if (name === undefined) return undefined;
  const day = valueOf(field, name);
  if (day === undefined) return aValue(field);
  if (last !== undefined) return [`${day % 7}L`];
  if (!/^[1-5]$/.test(nth ?? "")) return "a week of the month from #1 to #5";
  return parts === 1 ? [`${day % 7}#${nth}`] : "a # alone in its field";
}

/** `H`, `H(8-17)`, `H/15`: values that spread tasks over time, the same on every node because the seed decides. */
function readHashed(field: Field, part: string, seed: string): readonly Value[] | string | undefined {
  if (!/^h(?:$|\(|\/)/.test(part)) return undefined;
  const hashed = /^h(?:\((\d+)-(\d+)\))?(?:\/(\d+))?$/.exec(part);
  if (hashed === null) return `H, H(${field.min}-${topOf(field)}), either with a step /n`;
  const [, first, last, stepText] = hashed;
  const from = Number(first ?? field.min);
  const to = Number(last ?? topOf(field));
  if (from < field.min || to > topOf(field) || to < from) return `a rising range from ${field.min} to ${topOf(field)} after H`;
  const count = to - from + 1;
  if (stepText === undefined) return [from + (hash(seed) % count)];
  const step = Number(stepText);
  return step >= 1 && step <= count ? steps(from + (hash(seed) % step), to, step) : `a step from 1 to ${count} after H`;
}

function valueOf(field: Field, text: string): number | undefined {
  const named = field.names?.indexOf(text) ?? -1;
  if (named >= 0) return field.min + named;
  const value = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  return value >= field.min && value <= field.max ? value : undefined;
}

/** The last value that `*` means: Sunday is not counted twice. */
function topOf(field: Field): number {
  return field === WEEKDAY ? 6 : field.max;
}

function aValue(field: Field): string {
  const names = field.names === undefined ? "" : `, or ${field.names[0] ?? ""} to ${field.names.at(-1) ?? ""}`;
  return `values from ${field.min} to ${field.max}${names}`;
}

function anItem(field: Field): string {
  return `*, a value, a range (a-b), steps (*/n, a-b/n) or a list of them, with ${aValue(field)}`;
}

function steps(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => from + i * step);
}

/** `L` comes in every month. */
function neverComes(days: readonly Value[], months: readonly Value[]): boolean {
  const [first = 1] = days;
  return typeof first === "number" && !days.includes("L") && months.every((month) => first > (DAYS_IN_MONTH[Number(month) - 1] ?? 0));
}

/** FNV-1a with its high bits mixed in: the same number on every machine and in every version. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const letter of text) value = Math.imul(value ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  return (value ^ (value >>> 15)) >>> 0;
}
