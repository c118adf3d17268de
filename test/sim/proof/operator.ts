/** What others than the programs do to a record: operators by the rules, operators and restored backups against them, and the store itself. */
import type { FaultWindow } from "../../../src/testing/sim/faults.ts";
import type { Arena } from "./arena.ts";
import { FLAGS, TAMPERING } from "./plan.ts";
import { viewOf } from "./record-view.ts";

export function isOperation(kind: string): boolean {
  return (FLAGS as readonly string[]).includes(kind) || (TAMPERING as readonly string[]).includes(kind);
}

export function operate(arena: Arena, window: FaultWindow): void {
  const key = keyOf(arena, window);
  const { s3, world, coverage } = arena;
  if (s3.peek(key) === undefined) return;
  world.log("operator", "s3", window.kind, () => key);
  coverage.count(`fault ${window.kind}`);
  if (window.kind === "erase") s3.overwrite(key, undefined);
  else if (window.kind === "garbage") s3.overwrite(key, new TextEncoder().encode("{"));
  else if (window.kind === "roll-back") s3.overwrite(key, s3.versions(key).at(-1)?.body);
  else flag(arena, key, window);
}

/** Rule O1: a CAS on the version that was copied from, which changes the flag, the nonce and the version alone; never onto a flagged record. */
function flag(arena: Arena, key: string, window: FaultWindow): void {
  const { s3, world } = arena;
  const object = s3.peek(key);
  const view = viewOf(object?.body);
  if (object === undefined || view?.state !== "held") return;
  const record = JSON.parse(new TextDecoder().decode(object.body)) as Record<string, unknown>;
  if (record["flag"] !== undefined) return;
  const to = window.kind === "flag-step-down" ? arena.plan.nodes.at(-1)?.name : undefined;
  const flagged = {
    ...record,
    nonce: `flag-${world.nowMs}`,
    version: view.version + 1,
    flag: { kind: window.kind.slice(5), to, by: "operator" },
  };
  s3.execute({ kind: "replace", key, etag: object.etag, body: new TextEncoder().encode(JSON.stringify(flagged)) }, { by: "operator" });
}

/**
 * While it lasts the store answers 404 to a right ETag and lets a create overwrite, as MinIO did on keys that it was killed over in the middle of a
 * CAS (rule W6). So it strikes only what has been replaced before: a create that follows a read from before the very first one is honest, and no rule
 * protects from a store that loses that (seeds 750364768, 920879).
 */
export function doubt(arena: Arena, window: FaultWindow): void {
  const key = keyOf(arena, window);
  arena.world.schedule(window.from, () => {
    if (arena.s3.versions(key).length === 0 || arena.ledger.mayBeCreated(key)) return;
    arena.coverage.count("fault doubt");
    const end = arena.s3.doubt(key);
    arena.world.schedule(window.to, end);
  });
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

function keyOf(arena: Arena, window: FaultWindow): string {
  return arena.objectKey(arena.plan.keys[window.x % arena.plan.keys.length] ?? "");
}
