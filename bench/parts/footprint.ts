/** What an idle follower and a leader cost a process, over one that has made a single request through the SDK. */
import { kill, start } from "../run.ts";
import type { Server } from "../servers.ts";
import type { Table } from "../table.ts";

export async function footprint(servers: readonly Server[], seconds: number): Promise<Table> {
  const rows: (string | number)[][] = [];
  for (const server of servers) {
    const url = server.url();
    const begin = (kind: string) => start("idle", [kind, url, String(seconds)], server.env, ["--expose-gc"]);
    const leader = begin("leader");
    await leader.line((line) => line.event === "elected");
    // All at the same time: whatever else this machine does strikes each of them.
    const all = [["bare SDK process", begin("bare")] as const, ["follower", begin("follower")] as const, ["leader", leader] as const];
    let base = { rssMb: 0, heapMb: 0 };
    for (const [what, running] of all) {
      const said = await running.line((line) => line.event === "measured");
      const [percent, rssMb, heapMb] = ["percent", "rssMb", "heapMb"].map((name) => Number(said[name])) as [number, number, number];
      if (what.startsWith("bare")) base = { rssMb, heapMb };
      const over = (mb: number, of: number): string => (what.startsWith("bare") ? "" : (mb - of).toFixed(1));
      rows.push([
        server.name,
        what,
        Number(percent.toFixed(3)),
        Number(rssMb.toFixed(1)),
        over(rssMb, base.rssMb),
        Number(heapMb.toFixed(1)),
        over(heapMb, base.heapMb),
      ]);
    }
    for (const [, running] of all) await kill(running);
  }
  return {
    title: "CPU and memory",
    note: `ttl 15 s, poll 5 s, watched for ${seconds} s after 10 s of rest; memory after a garbage collection. Goal: under 0.2 % of a core, at most 10 MB over the bare SDK process.`,
    columns: ["Server", "Process", "% of a core", "RSS, MB", "over bare", "Heap, MB", "over bare"],
    rows,
  };
}
