/** Ways to do the same, in alternating blocks of one run: whatever else the machine does strikes all of them. */
import { Bench } from "tinybench";
import { median } from "./table.ts";

const BLOCKS = 20;

export type Way = () => Promise<unknown>;

/** The median of each way in milliseconds. */
export async function medians<N extends string>(rounds: number, ways: Readonly<Record<N, Way>>): Promise<Readonly<Record<N, number>>> {
  const all = Object.entries<Way>(ways).map(([name, way]) => ({ name, way, samples: [] as number[] }));
  const iterations = iterationsOf(rounds);
  for (let block = 0; block < BLOCKS; block++) {
    const warmup = block === 0;
    const bench = new Bench({ time: 0, iterations, warmup, warmupTime: 0, warmupIterations: 5, retainSamples: true, throws: true });
    for (const { name, way } of all) bench.add(name, async () => void (await way()));
    await bench.run();
    for (const { name, samples } of all) {
      const result = bench.getTask(name)?.result;
      if (result?.state !== "completed") throw new Error(`${name}: ${result?.state}`);
      samples.push(...(result.latency.samples ?? []));
    }
  }
  return Object.fromEntries(all.map(({ name, samples }) => [name, median(samples)])) as Record<N, number>;
}

/** What a row says of two ways: the median of each in milliseconds, the ratio of these, and how often each was gone. */
export async function pair(rounds: number, raw: Way, ours: Way): Promise<readonly [number, number, number, number]> {
  const ms = await medians(rounds, { raw, ours });
  return [ms.raw, ms.ours, Number((ms.ours / ms.raw).toFixed(3)), BLOCKS * iterationsOf(rounds)];
}

function iterationsOf(rounds: number): number {
  return Math.max(2, Math.ceil(rounds / BLOCKS));
}
