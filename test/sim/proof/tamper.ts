/** What operators, restored backups and other programs do to a record, without a condition. */
import type { FaultWindow } from "../../../src/testing/sim/faults.ts";
import type { Arena } from "./arena.ts";
import { viewOf } from "./record-view.ts";

export function tamper(arena: Arena, window: FaultWindow): void {
  const key = arena.objectKey(arena.plan.keys[window.x % arena.plan.keys.length] ?? "");
  const { s3, world, coverage } = arena;
  if (s3.peek(key) === undefined) return;
  world.log("tamper", "s3", window.kind, () => key);
  coverage.count(`fault ${window.kind}`);
  if (window.kind === "erase") s3.overwrite(key, undefined);
  else if (window.kind === "garbage") s3.overwrite(key, new TextEncoder().encode("{"));
  else if (window.kind === "roll-back") s3.overwrite(key, s3.versions(key).at(-1)?.body);
}

/** What the message of a token regression asks for: a released record, above every token that was given out (rule H10). */
export function repair(arena: Arena): void {
  for (const name of arena.plan.keys) {
    const key = arena.objectKey(name);
    const history = arena.ledger.history(key);
    if (!history.tampered) continue;
    const model = [arena.s3.peek(key), ...arena.s3.versions(key)].find((o) => viewOf(o?.body) !== undefined);
    if (model === undefined) continue;
    const record = JSON.parse(new TextDecoder().decode(model.body)) as Record<string, unknown>;
    const fencingToken = history.highestToken + 1;
    const repaired = {
      ...record,
      state: "released",
      endedBy: "self",
      nonce: "repaired",
      holderNonce: "repaired",
      fencingToken,
      flag: undefined,
    };
    arena.s3.overwrite(key, new TextEncoder().encode(JSON.stringify(repaired)));
    arena.world.log("repair", "s3", fencingToken, () => key);
  }
}
