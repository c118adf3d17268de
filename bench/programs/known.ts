/** Locks and frees keys, each once, and tells what this process remembers of them after so many: `COUNT…`. Needs --expose-gc. */
import process from "node:process";
import { Locks, type ObjectStore } from "s3-consensus";
import { memoryStore } from "s3-consensus/memory";
import { emit } from "../../test/support/emit.ts";
import { heapBytes } from "../heap.ts";

const AT_ONCE = 100;

const store = memoryStore();
const locks = new Locks({ store });
await locks.withLock("warm", () => {});
let before = 0;
for (const count of [0, ...process.argv.slice(2).map(Number)]) {
  for (let from = before; from < count; from += AT_ONCE) {
    const keys = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => `known/key-${from + i}`);
    await Promise.all(keys.map((key) => locks.withLock(key, () => {})));
  }
  before = count;
  // What this store keeps in memory, S3 would.
  await empty(store);
  const heapMb = (await heapBytes()) / 1e6;
  emit("known", { count, heapMb, rssMb: process.memoryUsage().rss / 1e6 });
}
process.exit(0);

async function empty(of: ObjectStore): Promise<void> {
  for (;;) {
    const page = await of.list("");
    if (page.kind !== "page") throw page.error;
    if (page.entries.length === 0) return;
    for (const { key } of page.entries) await of.remove(key);
  }
}
