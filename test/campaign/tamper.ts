/**
 * Somebody changes a record from outside: a restored backup, a careless clean-up, garbage. Nobody who remembers the newer token may lead until an
 * operator has mended it (rule H10), and he does that only when whoever still believed has certainly stopped.
 */
import { randomBytes } from "node:crypto";
import type { Attempt } from "../../src/testing/history/index.ts";
import { pass, until } from "./arena.ts";
import type { Field } from "./field.ts";
import { watchMs } from "./timing.ts";
import { nowMs, recordFields, RECORDS } from "./tap.ts";

export type Tampering = "record rolled back" | "record deleted" | "record replaced by garbage";

export async function tamper(field: Field, what: Tampering): Promise<void> {
  const { arena } = field;
  // A lock is taken and given back all the time: nobody could say when all remember its newest token.
  const key = field.pick(arena.keys.filter((k) => k.startsWith(RECORDS)));
  const election = arena.election(key);
  // Everybody has seen the present token by then, so that everybody remembers it.
  const ready = (): boolean => arena.holders.every((holder) => holder.alive && arena.ledger.isReady(holder.pid));
  if ((await until(ready, 5000)) === undefined) return;
  const leader = arena.ledger.leaderOf(key);
  if (leader === undefined) return pass(200);
  await pass(2 * election.pollMs + 200);
  if (arena.ledger.leaderOf(key)?.token !== leader.token) return;
  const copies = arena.tap.copiesOf(key);
  const newest = copies.at(-1);
  const older = field.pick(copies.slice(0, -1));
  if (newest === undefined || older === undefined) return;
  const done = await alone(field, key, async () => {
    if (what === "record deleted") return remove(field, key);
    return overwrite(field, key, what === "record rolled back" ? older.body : "not a record");
  });
  if (!done) return;
  field.count(what);
  const needsRepair = what !== "record rolled back" || older.fencingToken < newest.fencingToken;
  await pass(watchMs(election) + election.ttlMs);
  if (!needsRepair) return;
  const { fencingToken } = newest;
  const version = Number((JSON.parse(newest.body) as { readonly version?: number }).version) + 1000;
  const mended = {
    ...(JSON.parse(newest.body) as object),
    state: "released",
    fencingToken,
    version,
    nonce: `operator-${randomBytes(6).toString("hex")}`,
  };
  for (let i = 0; i < 20 && !(await alone(field, key, () => overwrite(field, key, JSON.stringify(mended)))); i++) await pass(100);
  field.count("operator's repair");
}

/**
 * Does it while no request for this key is at the server: so that it has a certain place in the key's history. Requests that come meanwhile wait
 * in the proxies.
 * @returns false when the server did not come to rest.
 */
async function alone(field: Field, key: string, act: () => Promise<void>): Promise<boolean> {
  const { arena } = field;
  const gates = arena.proxies.map((proxy) => proxy.faults.add({ kind: "delay", key }));
  try {
    if ((await until(() => arena.tap.underWay(key) === 0, 1000)) === undefined) return false;
    await act();
    return true;
  } finally {
    for (const gate of gates) {
      gate.remove();
      void gate.deliver();
    }
  }
}

async function overwrite(field: Field, key: string, body: string): Promise<void> {
  const { arena } = field;
  const sentMs = nowMs();
  const etag = await arena.outside.put(arena.options.bucket, key, body);
  const written = { kind: "overwrite", etag: etag.replaceAll('"', ""), ...recordFields(Buffer.from(body)) } as const;
  arena.tap.intervene({ ...outsider(key, sentMs), ...written });
}

async function remove(field: Field, key: string): Promise<void> {
  const { arena } = field;
  const sentMs = nowMs();
  await arena.outside.remove(arena.options.bucket, key);
  arena.tap.intervene({ ...outsider(key, sentMs), kind: "delete" });
}

function outsider(key: string, sentMs: number): Pick<Attempt, "type" | "key" | "client" | "outcome" | "sentMs" | "answeredMs"> {
  if (!key.startsWith(RECORDS)) throw new Error(`${key} is not a record's key`);
  return { type: "attempt", key, client: "outsider", outcome: "applied", sentMs, answeredMs: nowMs() };
}
