/** What a process remembers of the keys that it has locked: their records, so that the next time costs no look, and a limit on them. */
import { start } from "../run.ts";
import type { Table } from "../table.ts";

export async function known(counts: readonly number[]): Promise<Table> {
  const running = start("known", counts.map(String), {}, ["--expose-gc"]);
  const told = async (count: number): Promise<{ readonly heapMb: number; readonly rssMb: number }> => {
    const line = await running.line(({ event, count: of }) => event === "known" && of === count);
    return { heapMb: Number(line["heapMb"]), rssMb: Number(line["rssMb"]) };
  };
  const base = await told(0);
  const rows: number[][] = [];
  for (const count of counts) {
    const { heapMb, rssMb } = await told(count);
    rows.push([count, heapMb - base.heapMb, rssMb - base.rssMb, ((heapMb - base.heapMb) * 1_000) / Math.min(count, 10_000)]);
  }
  await running.exit;
  return {
    title: "Known keys",
    note: "A process locks and frees so many different keys and then holds none of them; memory after a garbage collection, over that with no key. It remembers 10,000 at most, those used last.",
    columns: ["Keys locked", "Heap, MB", "RSS, MB", "Heap for each remembered, kB"],
    rows,
  };
}
