/** The benchmark runs, and its count of requests is what the documentation says. Its times are nobody's promise. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { median, quantile, render, type Table } from "../../bench/table.ts";

const MAIN = join(import.meta.dirname, "../../.cache/build/bench/main.js");

async function measured(only: string): Promise<readonly Table[]> {
  const args = ["--expose-gc", MAIN, "--quick", "--json", "--only", only];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, NODE_OPTIONS: undefined } });
  return (JSON.parse(stdout) as { tables: Table[] }).tables;
}

describe("npm run bench", () => {
  it("--json: requests for each operation", { timeout: 120_000 }, async () => {
    const tables = await measured("requests");
    expect(tables.map((table) => table.title)).toEqual(["Requests"]);
    const [probe = [], ...rest] = tables[0]?.rows ?? [];
    // The probe's races take as many writes as they need.
    expect(Number(probe.at(-1))).toBeLessThan(100);
    expect(rest).toEqual([
      ["win a free key, first use in a process (two of them beside the rest)", 2, 2, 4],
      ["release", 0, 1, 1],
      ["win a free key whose ETag is known", 0, 1, 1],
      ["renewal", 0, 1, 1],
      ["leader(): who leads?", 1, 0, 1],
      ["a follower's poll, answered 304 without a body", 1, 0, 1],
    ]);
  });

  it("waiting: each looks once in five seconds, and the callers of one process are one", { timeout: 120_000 }, async () => {
    const [table] = await measured("waiters");
    const rows = (table?.rows ?? []).map((row) => row.map(Number));
    expect(rows.map(([waiters]) => waiters)).toEqual([1, 10, 50, 20, 20]);
    const one = rows[0];
    for (const [waiters = 0, , early = 0, then = 0, , , , , each] of rows.slice(0, -1)) {
      expect(early).toBeLessThanOrEqual(waiters);
      expect(then).toBeLessThanOrEqual(waiters / 5);
      expect(each).toBeLessThanOrEqual(20);
    }
    expect(table?.rows.at(-1)?.slice(1, 4)).toEqual(["one", ...(one?.slice(2, 4) ?? [])]);
  });

  it("an unknown part is named", async () => {
    await expect(promisify(execFile)(process.execPath, [MAIN, "--only", "nonsense"])).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining("nonsense") as string,
    });
  });
});

describe("its tables", () => {
  it("quantiles are samples", () => {
    const samples = [5, 1, 4, 2, 3];
    expect([quantile(samples, 0), median(samples), quantile(samples, 1)]).toEqual([1, 3, 5]);
    expect(quantile([], 0.5)).toBeNaN();
  });

  it("are Markdown", () => {
    expect(render({ title: "T", note: "n", columns: ["a", "long"], rows: [["x", 1.23456]] })).toBe(
      "## T\n\nn\n\n| a | long |\n| - | ---- |\n| x | 1.23 |\n",
    );
  });
});
