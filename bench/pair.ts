/** Two ways to do the same, in alternating blocks of one run: whatever else the machine does strikes both. */
import { Bench } from "tinybench";
import { median } from "./table.ts";

const BLOCKS = 20;

export type Way = () => Promise<unknown>;

/** What a row of a table says of two ways: the median of each in milliseconds, the ratio of these, and how often each was gone. */
export async function pair(rounds: number, raw: Way, ours: Way): Promise<readonly [number, number, number, number]> {
  const samples: Record<"raw" | "ours", number[]> = { raw: [], ours: [] };
  const iterations = Math.max(2, Math.ceil(rounds / BLOCKS));
  for (let block = 0; block < BLOCKS; block++) {
    const warmup = block === 0;
    const bench = new Bench({ time: 0, iterations, warmup, warmupTime: 0, warmupIterations: 5, retainSamples: true, throws: true });
    bench.add("raw", async () => void (await raw()));
    bench.add("ours", async () => void (await ours()));
    await bench.run();
    for (const name of ["raw", "ours"] as const) {
      const result = bench.getTask(name)?.result;
      if (result?.state !== "completed") throw new Error(`${name}: ${result?.state}`);
      samples[name].push(...(result.latency.samples ?? []));
    }
  }
  const [rawMs, oursMs] = [median(samples.raw), median(samples.ours)];
  return [rawMs, oursMs, Number((oursMs / rawMs).toFixed(3)), samples.raw.length];
}
