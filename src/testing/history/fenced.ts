import type { Contradiction } from "./contradiction.ts";
import type { FencedWrite } from "./line.ts";

/** The resource's own duty, in the order in which it took the writes: nothing older than what it has accepted, and never a refusal of the newest. */
export function checkFenced(key: string, writes: readonly FencedWrite[]): Contradiction[] {
  let newest: FencedWrite | undefined;
  for (const write of writes) {
    const older = newest !== undefined && write.fencingToken < newest.fencingToken;
    if (older && newest !== undefined && write.accepted)
      return [{ kind: "fencing", key, message: "the resource accepted an older token after a newer one", lines: [newest, write] }];
    if (!older && !write.accepted) {
      const lines = newest === undefined ? [write] : [newest, write];
      return [{ kind: "fencing", key, message: "the resource refused a token that was not older than any it had accepted", lines }];
    }
    if (write.accepted && !older) newest = write;
  }
  return [];
}
