/** The time from the start of a command to its first request at a socket, against a bare SDK program that does nothing else. */
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { hostMs } from "../../test/support/host-clock.ts";
import { spawnQuietly, PROGRAMS } from "../run.ts";
import { median, type Table } from "../table.ts";

const CLI = join(import.meta.dirname, "../../../../dist/cli/main.js");
const BARE = "bare SDK, imported: GET";

interface Sample {
  readonly wallMs: number;
  readonly cpuMs: number | undefined;
}

export async function startTime(rounds: number): Promise<Table> {
  let arrived: () => void = () => {};
  const server = createServer((_request, response) => {
    arrived();
    response.writeHead(404, { "content-type": "application/xml" }).end("<Error><Code>NoSuchKey</Code></Error>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `s3://start/time?endpoint=http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const programs: Readonly<Record<string, readonly string[]>> = {
    [BARE]: [join(PROGRAMS, "cold.js"), "bare-get", url],
    "bare SDK, required: GET": [join(PROGRAMS, "cold.js"), "bare-required", url],
    status: [CLI, "--store", url, "status", "x"],
    ls: [CLI, "--store", url, "ls"],
    lock: [CLI, "--store", url, "lock", "x", "--", "true"],
    elect: [CLI, "--store", url, "elect", "x"],
  };
  const first = async (args: readonly string[], end: NodeJS.Signals): Promise<Sample> => {
    const atMs = hostMs();
    const child = spawnQuietly(args, { AWS_ACCESS_KEY_ID: "bench", AWS_SECRET_ACCESS_KEY: "bench" });
    const sample = await new Promise<Sample>((resolve) => {
      arrived = () => resolve({ wallMs: hostMs() - atMs, cpuMs: cpuMs(child.pid ?? 0) });
    });
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill(end);
    await gone;
    return sample;
  };
  const samples = new Map<string, Sample[]>();
  // One round for nothing, which ends in good order, so that Node keeps what it has compiled where it does so. In turn after that: what else the
  // machine does falls on all of them.
  for (let round = -1; round < rounds; round++)
    for (const [name, args] of Object.entries(programs)) {
      const sample = await first(args, round < 0 ? "SIGTERM" : "SIGKILL");
      if (round >= 0) samples.set(name, [...(samples.get(name) ?? []), sample]);
    }
  server.close();
  server.closeAllConnections();
  const of = (name: string, what: (sample: Sample) => number | undefined): number =>
    median((samples.get(name) ?? []).map((s) => what(s) ?? 0));
  const row = (name: string): (string | number)[] => {
    const [wall, cpu] = [of(name, (s) => s.wallMs), of(name, (s) => s.cpuMs)];
    return [name, wall, Math.round(wall - of(BARE, (s) => s.wallMs)), cpu, Math.round(cpu - of(BARE, (s) => s.cpuMs)), rounds];
  };
  return {
    title: "Start of a command",
    note: "Milliseconds from spawning a fresh process to its first request at a socket, and the processor time that it had by then (Linux), which other work on the machine changes less. Goal: within 60 ms of the bare SDK program.",
    columns: ["What", "Median, ms", "More than bare, ms", "Processor, ms", "More than bare, ms", "Processes"],
    rows: Object.keys(programs).map(row),
  };
}

/** Of all threads of the process; `undefined` where the system does not tell. */
function cpuMs(pid: number): number | undefined {
  try {
    const folder = `/proc/${pid}/task`;
    return readdirSync(folder).reduce(
      (sum, task) => sum + Number(readFileSync(join(folder, task, "schedstat"), "utf8").split(" ")[0]) / 1e6,
      0,
    );
  } catch {
    return undefined;
  }
}
