/** A lock's cycle beside those of a Redis and a PostgreSQL on the same machine, for the order of magnitude. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface, type Interface } from "node:readline";
import { Locks } from "s3-consensus";
import { launchPostgres, launchRedis } from "../../test/support/database-servers.ts";
import { medians, type Way } from "../pair.ts";
import { rawOn, twoPuts } from "../raw.ts";
import type { Server } from "../servers.ts";
import type { Table } from "../table.ts";

export async function anchors(servers: readonly Server[], rounds: number): Promise<Table> {
  const [redis, postgres] = [await launchRedis(), await launchPostgres()];
  try {
    const redisCycle = await redisLock(redis.socket);
    const postgresCycle = await postgresLock(postgres.client);
    const rows: (string | number)[][] = [];
    for (const server of servers) {
      const url = server.url();
      const locks = new Locks({ store: url });
      await locks.withLock("k", () => {});
      const raw = rawOn(url);
      const ms = await medians(rounds, {
        withLock: () => locks.withLock("k", () => {}),
        "two raw conditional PUTs": await twoPuts(raw),
        "Redis: SET NX PX, then delete if mine": redisCycle,
        "PostgreSQL: pg_try_advisory_lock, then unlock": postgresCycle,
      });
      raw.close();
      for (const [name, value] of Object.entries(ms)) rows.push([server.name, name, value, Number((value / ms.withLock).toFixed(3))]);
    }
    return {
      title: "Beside other locks",
      note: "One cycle of a free lock, alternating; all servers on this machine, nothing between. Redis keeps it in memory alone, PostgreSQL in the session of its client (here psql behind a pipe): both lose it with the server, and neither gives a fencing token.",
      columns: ["Server of withLock", "Cycle", "Median, ms", "Of withLock"],
      rows,
    };
  } finally {
    await redis.stop();
    await postgres.stop();
  }
}

const DELETE_IF_MINE = "if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end";

async function redisLock(path: string): Promise<Way> {
  const socket = connect(path).setNoDelay(true).unref();
  await once(socket, "connect");
  let nonces = 0;
  return async () => {
    const nonce = `nonce-${++nonces}`;
    if ((await replyTo(socket, ["SET", "k", nonce, "NX", "PX", "30000"])) !== "+OK\r\n") throw new Error("it was not free");
    if ((await replyTo(socket, ["EVAL", DELETE_IF_MINE, "1", "k", nonce])) !== ":1\r\n") throw new Error("it was not mine");
  };
}

/** These replies are so short that they come in one piece. */
async function replyTo(socket: Socket, words: readonly string[]): Promise<string> {
  socket.write(`*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`);
  const [chunk] = (await once(socket, "data")) as [Buffer];
  return chunk.toString();
}

async function postgresLock([psql, ...args]: readonly [string, ...string[]]): Promise<Way> {
  const child: ChildProcess = spawn(psql, [...args, "-d", "postgres"], { stdio: ["pipe", "pipe", "inherit"] });
  if (child.stdout === null) throw new Error("it has no output");
  const lines: Interface = createInterface({ input: child.stdout });
  const answer = async (sql: string): Promise<unknown> => {
    child.stdin?.write(`${sql}\n`);
    return ((await once(lines, "line")) as unknown[])[0];
  };
  const isRight = async (sql: string, right: string): Promise<void> => {
    const said = await answer(sql);
    if (said !== right) throw new Error(`${sql} answered ${String(said)}`);
  };
  await isRight("SELECT 1;", "1");
  return async () => {
    await isRight("SELECT pg_try_advisory_lock(1);", "t");
    await isRight("SELECT pg_advisory_unlock(1);", "t");
  };
}
