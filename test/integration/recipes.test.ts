/** The recipes of docs/fencing.md, as they stand there, on the servers that they are for. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { type Answer, type Database, type Postgres, startPostgres, startRedis } from "../support/databases.ts";
import { whenFinished } from "../support/finish.ts";
import { adopt, removeFolder, temporaryFolder } from "../support/reaper.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/fencing.md"), "utf8");

/** The code block of this name. */
function recipe(name: string): string {
  const [, code] = new RegExp(`^\`\`\`\\w+ ${name}\\n([^]*?)^\`\`\`$`, "m").exec(page) ?? [];
  if (code === undefined) throw new Error(`docs/fencing.md has no block "${name}"`);
  return code;
}

const KEY = "locks/report";

let postgres: Postgres;
// Installing it, where that has to be done, takes a while.
beforeAll(async () => {
  postgres = await startPostgres();
}, 400_000);

async function succeeds(answer: Promise<Answer>): Promise<string> {
  const { code, stdout, stderr } = await answer;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout.trim();
}

describe("PostgreSQL, one row", () => {
  const put = (db: Database, balance: number, token: number, key = KEY): Promise<string> =>
    succeeds(
      db.run(`PREPARE put (bigint, bigint, text, text) AS ${recipe("postgres-put")}\nEXECUTE put (${balance}, ${token}, 'x', '${key}');`),
    );
  const open = (db: Database, token: number): Promise<string> =>
    succeeds(db.run(`PREPARE open (bigint, text, text) AS ${recipe("postgres-open")}\nEXECUTE open (${token}, 'x', '${KEY}');`));
  const row = (db: Database): Promise<string> => succeeds(db.run("SELECT balance, fence FROM account WHERE id = 'x';"));
  const made = async (): Promise<Database> => {
    const db = await postgres.database();
    await succeeds(db.run(`${recipe("postgres-table")} INSERT INTO account VALUES ('x', 0, '${KEY}');`));
    return db;
  };

  it("takes equal and higher tokens, and updates no row for a lower one", async () => {
    const db = await made();
    expect(await put(db, 10, 1)).toMatch(/UPDATE 1$/);
    expect(await put(db, 11, 1)).toMatch(/UPDATE 1$/);
    expect(await put(db, 20, 2)).toMatch(/UPDATE 1$/);
    expect(await put(db, 12, 1)).toMatch(/UPDATE 0$/);
    expect(await row(db)).toBe("20|2");
    expect(await put(db, 99, 9, "locks/other")).toMatch(/UPDATE 0$/);
  });

  it("an open alone refuses older tokens, and leaves the value", async () => {
    const db = await made();
    await put(db, 10, 1);
    expect(await open(db, 2)).toMatch(/UPDATE 1$/);
    expect(await put(db, 12, 1)).toMatch(/UPDATE 0$/);
    expect(await open(db, 1)).toMatch(/UPDATE 0$/);
    expect(await row(db)).toBe("10|2");
  });

  it("eight sessions at once: the highest token has the last word", async () => {
    const db = await made();
    await Promise.all(Array.from({ length: 8 }, (_, i) => put(db, (i + 1) * 100, i + 1)));
    expect(await row(db)).toBe("800|8");
  });
});

describe("PostgreSQL, whole transactions", () => {
  const made = async (): Promise<Database> => {
    const db = await postgres.database();
    await succeeds(db.run(`${recipe("postgres-fence")} CREATE TABLE journal (id serial, line text);`));
    return db;
  };
  const under = (token: number): string => recipe("postgres-transaction").replaceAll("7", String(token));
  const lines = (db: Database): Promise<string> => succeeds(db.run("SELECT line FROM journal ORDER BY id;"));

  it("one under a lower token is refused as a whole", async () => {
    const db = await made();
    await succeeds(db.run(under(7)));
    await succeeds(db.run(under(8)));
    const late = await db.run(under(7));
    expect(late.code).not.toBe(0);
    expect(late.stderr).toContain("fenced out: a token above 7 has passed for locks/report");
    await succeeds(db.run(under(8)));
    expect(await lines(db)).toBe(["written under token 7", "written under token 8", "written under token 8"].join("\n"));
  });

  it("one that is under way is over before the next holder passes", async () => {
    const db = await made();
    const slow = db.run(under(7).replace("COMMIT;", "SELECT pg_sleep(1); COMMIT;"));
    const isWaiting = (): Promise<string> => succeeds(db.run("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep';"));
    await expect.poll(isWaiting, { timeout: 20_000 }).toBe("1");
    await succeeds(db.run(under(8)));
    expect(await lines(db)).toBe("written under token 7\nwritten under token 8");
    expect((await slow).code).toBe(0);
  });
});

describe("Redis", () => {
  it("takes equal and higher tokens, refuses lower ones and other leases, opens without a value", async () => {
    const redis = await startRedis();
    const put = (...args: string[]): Promise<Answer> => redis.evaluate(recipe("redis-put"), ["report"], args);
    const value = (): Promise<string> => succeeds(redis.command("HGET", "report", "value"));
    expect(await succeeds(put("1", KEY, "one"))).toBe("1");
    expect(await succeeds(put("1", KEY, "one again"))).toBe("1");
    expect(await succeeds(put("2", KEY))).toBe("2");
    expect(await value()).toBe("one again");
    const said = ({ stdout, stderr }: Answer): string => stdout + stderr;
    expect(said(await put("1", KEY, "late"))).toContain("FENCEDOUT token 2 has written or opened it");
    expect(said(await put("9", "locks/other", "other"))).toContain("OTHERLEASE it is fenced by locks/report");
    expect(await value()).toBe("one again");
    expect(await succeeds(put("2", KEY, "two"))).toBe("2");
    // As numbers, not as texts.
    expect(await succeeds(put("10", KEY, "ten"))).toBe("10");
    expect(said(await put("9", KEY, "nine"))).toContain("FENCEDOUT");
    expect(await value()).toBe("ten");
  });
});

describe("an HTTP service", () => {
  async function started(): Promise<string> {
    const dir = temporaryFolder("http-service");
    const file = join(dir, "service.mjs");
    writeFileSync(file, recipe("http-service"));
    const child: ChildProcess = spawn(process.execPath, [file], {
      env: { ...process.env, PORT: "0" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    adopt(child);
    whenFinished(async () => {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "close");
      removeFolder(dir);
    });
    if (child.stdout === null) throw new Error("it has no output");
    const [port] = (await once(child.stdout, "data")) as [Buffer];
    return `http://127.0.0.1:${port.toString().trim()}/report`;
  }

  it("takes equal and higher tokens, refuses lower ones with 412 and the newest, and nothing without a token", async () => {
    const url = await started();
    const send = async (method: string, token: string | undefined, body?: string, key = KEY): Promise<[number, string | null]> => {
      const headers = { "Fencing-Key": key, ...(token === undefined ? {} : { "Fencing-Token": token }) };
      const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
      await response.text();
      return [response.status, response.headers.get("Fencing-Token")];
    };
    const body = async (): Promise<string> => await (await fetch(url)).text();
    expect((await fetch(url)).status).toBe(404);
    expect(await send("PUT", "1", "one")).toEqual([204, null]);
    expect(await send("PUT", "1", "one again")).toEqual([204, null]);
    expect(await send("POST", "2")).toEqual([204, null]);
    expect(await body()).toBe("one again");
    expect(await send("PUT", "1", "late")).toEqual([412, "2"]);
    expect(await send("PUT", "9", "other", "locks/other")).toEqual([409, null]);
    for (const wrong of [undefined, "x", "0", "1.5"]) expect((await send("PUT", wrong, "none"))[0]).toBe(428);
    expect(await body()).toBe("one again");
    expect(await send("PUT", "10", "ten")).toEqual([204, null]);
    expect(await send("PUT", "9", "nine")).toEqual([412, "10"]);
    expect(await body()).toBe("ten");
  });
});
