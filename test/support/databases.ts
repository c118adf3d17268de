/** PostgreSQL and Redis for the recipes of docs/fencing.md. Each server belongs to one test or file, and is gone when that ends. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Answer, answerOf, launchPostgres, launchRedis } from "./database-servers.ts";
import { whenFinished } from "./finish.ts";

export type { Answer };

export interface Database {
  /** Runs a script in a session of its own. */
  run(sql: string): Promise<Answer>;
}

export interface Postgres {
  /** An empty database on this server. */
  database(): Promise<Database>;
}

export interface Redis {
  /** Runs a Lua script by `redis-cli --eval`. */
  evaluate(script: string, keys: readonly string[], args: readonly string[]): Promise<Answer>;
  command(...words: readonly string[]): Promise<Answer>;
}

export async function startPostgres(): Promise<Postgres> {
  const { client, stop } = await launchPostgres();
  whenFinished(stop);
  const session =
    (name: string): Database["run"] =>
    (sql) =>
      answerOf([...client, "-d", name], sql);
  let databases = 0;
  return {
    database: async () => {
      const name = `test${++databases}`;
      const { code, stderr } = await session("postgres")(`CREATE DATABASE ${name};`);
      if (code !== 0) throw new Error(stderr);
      return { run: session(name) };
    },
  };
}

export async function startRedis(): Promise<Redis> {
  const { client, dir, stop } = await launchRedis();
  whenFinished(stop);
  let scripts = 0;
  return {
    command: (...words) => answerOf([...client, ...words]),
    evaluate(script, keys, values) {
      const file = join(dir, `script-${++scripts}.lua`);
      writeFileSync(file, script);
      return answerOf([...client, "--eval", file, ...keys, ",", ...values]);
    },
  };
}
