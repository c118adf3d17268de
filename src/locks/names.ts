/**
 * Ephemeral locks have names that say so: `ephemeral:invoice-42` is another lock than `invoice-42`, with tokens of its own. A handle tells its whole
 * name; a call on locks that are ephemeral takes it with or without the mark, and all other locks refuse it.
 */
import type { LeaseSource } from "../lease/lease-source.ts";

export const EPHEMERAL_MARK = "ephemeral:";

type Kind = Pick<LeaseSource<never>, "ephemeral">;

/** The one name of a lock, whichever way it was spelled. */
export function fullName({ ephemeral }: Kind, name: string): string {
  return ephemeral ? EPHEMERAL_MARK + bareName(name) : name;
}

/** As it stands in the space of ephemeral locks. */
export function bareName(name: string): string {
  return name.startsWith(EPHEMERAL_MARK) ? name.slice(EPHEMERAL_MARK.length) : name;
}

/** What is wrong with a name that belongs to the other kind of locks. */
export function markFault({ ephemeral }: Kind, name: string): string | undefined {
  if (ephemeral || !name.startsWith(EPHEMERAL_MARK)) return undefined;
  return "a name of these locks: that one belongs to new Locks({ ephemeral: true }), and is another lock than the same name without its mark";
}
