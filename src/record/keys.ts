/** The longest key that S3 takes, in bytes of UTF-8, the store's prefix included. */
export const MAX_KEY_BYTES = 1024;

/**
 * One path segment for any name, so that no two names share a key: everything but `A–Z a–z 0–9 - _ .` is percent-encoded, and so are the
 * dots of a name that has nothing but dots (servers that keep objects as files would climb out of the folder).
 */
export function escapeName(name: string): string {
  const escaped = encodeURIComponent(name).replace(/[!'()*~]/g, percent);
  return /^\.+$/.test(escaped) ? escaped.replace(/\./g, percent) : escaped;
}

/** The inverse of `escapeName`; `undefined` for a segment that it never makes. */
export function unescapeName(segment: string): string | undefined {
  try {
    const name = decodeURIComponent(segment);
    return escapeName(name) === segment ? name : undefined;
  } catch {
    return undefined;
  }
}

/** As far as every name that begins so is escaped to something that begins so: up to the first dot, which may be escaped or not. */
export function escapedPrefix(prefix: string): string {
  return /^[A-Za-z0-9_-]*/.exec(prefix)?.[0] ?? "";
}

/** Elections, locks, ephemeral locks, members and tasks have name spaces of their own below one prefix. */
export function leaseKey(prefix: string, space: "elections" | "locks" | "ephemeral" | "members" | "tasks", name: string): string {
  return `${prefix}${space}/${escapeName(name)}`;
}

/** What operators want of a task stands beside its record (rule M). `~` is in no escaped name, so no task's record can stand there. */
export function controlKey(taskKey: string): string {
  return `${taskKey}~control`;
}

/** Of an object that is no record, among records. */
export function isControlKey(key: string): boolean {
  return key.endsWith(controlKey(""));
}

/** Where the member record of one tenancy of a session lives. The id is random and never used again (rule S12). */
export function memberKey(prefix: string, id: string): string {
  return `${prefix}members/${id}`;
}

const MEMBER_PATH = /^((?:\.\.\/){1,8})(members\/[\w-]{1,64})$/;

/**
 * The way from a lock's key to the record of the member that it names. Records say it like this, and not as a whole key, because two programs
 * may reach the same objects through stores of different prefixes: a member that is looked for in the wrong place would look ended.
 * `undefined` where there is no such way.
 */
export function pathToMember(key: string, member: string): string | undefined {
  const at = member.lastIndexOf("members/");
  const prefix = member.slice(0, Math.max(0, at));
  if (at < 0 || !key.startsWith(prefix)) return undefined;
  const path = "../".repeat(key.slice(prefix.length).split("/").length - 1) + member.slice(at);
  return MEMBER_PATH.test(path) ? path : undefined;
}

/** The inverse of `pathToMember`; `undefined` for what it never makes. */
export function memberFromPath(key: string, path: string): string | undefined {
  const [, ups = "", tail = ""] = MEMBER_PATH.exec(path) ?? [];
  const segments = key.split("/");
  const kept = segments.length - 1 - ups.length / 3;
  if (ups === "" || kept < 0) return undefined;
  return [...segments.slice(0, kept), tail].join("/");
}

/** What a name must be that this one is not; `undefined` when nothing is wrong with it. */
export function nameFault(name: unknown): string | undefined {
  if (typeof name !== "string") return "a text";
  if (name === "") return "not empty";
  // eslint-disable-next-line no-control-regex -- looking for just these
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return "a text without control characters";
  if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(name))
    return "well-formed Unicode (it has half of a surrogate pair)";
  return undefined;
}

function percent(c: string): string {
  return `%${c.charCodeAt(0).toString(16).toUpperCase()}`;
}
