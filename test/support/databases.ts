/**
 * PostgreSQL and Redis of Debian or Ubuntu, for the recipes of docs/fencing.md. Each server belongs to one test or file, listens on a Unix socket in its
 * own folder and nowhere else, and is gone when that ends.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { accessSync, chownSync, constants, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { whenFinished } from "./finish.ts";
import { adopt, removeFolder, temporaryFolder } from "./reaper.ts";

const READY_WITHIN_MS = 60_000;
const INSTALL_LIMIT_MS = 300_000;

export interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

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
  const initdb = program("initdb", "postgresql");
  const server = program("postgres", "postgresql");
  const psql = program("psql", "postgresql");
  const dir = temporaryFolder("postgres");
  // It refuses to run as root.
  const as = process.getuid?.() === 0 ? idsOf("nobody") : undefined;
  if (as !== undefined) chownSync(dir, as.uid, as.gid);
  const data = join(dir, "data");
  const made = spawnSync(initdb, ["-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"], {
    ...as,
    cwd: dir,
    encoding: "utf8",
  });
  if (made.status !== 0) throw new Error(`initdb ended with ${made.status}: ${made.stdout}${made.stderr}`);
  const settings = ["listen_addresses=", `unix_socket_directories=${dir}`, "fsync=off"].flatMap((s) => ["-c", s]);
  const child = spawn(server, ["-D", data, ...settings], { ...as, cwd: dir, stdio: ["ignore", "ignore", "pipe"] });
  const session =
    (name: string): Database["run"] =>
    (sql) =>
      answerOf(psql, ["-h", dir, "-U", "postgres", "-d", name, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"], sql);
  const admin = session("postgres");
  await untilReady("postgres", child, dir, async () => (await admin("SELECT 1;")).code === 0);
  let databases = 0;
  return {
    database: async () => {
      const name = `test${++databases}`;
      const { code, stderr } = await admin(`CREATE DATABASE ${name};`);
      if (code !== 0) throw new Error(stderr);
      return { run: session(name) };
    },
  };
}

export async function startRedis(): Promise<Redis> {
  const server = program("redis-server", "redis-server");
  const cli = program("redis-cli", "redis-server");
  const dir = temporaryFolder("redis");
  const socket = join(dir, "redis.sock");
  const args = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir];
  const child = spawn(server, args, { cwd: dir, stdio: ["ignore", "ignore", "pipe"] });
  const command: Redis["command"] = (...words) => answerOf(cli, ["-s", socket, "-e", ...words]);
  await untilReady("redis-server", child, dir, async () => (await command("PING")).stdout === "PONG\n");
  let scripts = 0;
  return {
    command,
    evaluate(script, keys, values) {
      const file = join(dir, `script-${++scripts}.lua`);
      writeFileSync(file, script);
      return answerOf(cli, ["-s", socket, "-e", "--eval", file, ...keys, ",", ...values]);
    },
  };
}

/** On PATH or in PostgreSQL's own folder; else installed, which takes root and apt; else an error that says what to install. */
function program(name: string, debianPackage: string): string {
  const found = find(name);
  if (found !== undefined) return found;
  if (process.getuid?.() === 0 && find("apt-get") !== undefined) {
    process.stderr.write(`[test servers] installing ${debianPackage} with apt-get\n`);
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const apt = (...args: string[]): number | null =>
      spawnSync("apt-get", ["-q", ...args], { env, stdio: "ignore", timeout: INSTALL_LIMIT_MS }).status;
    if (apt("update") === 0) apt("install", "-y", "--no-install-recommends", debianPackage);
    const installed = find(name);
    if (installed !== undefined) return installed;
  }
  throw new Error(
    `The recipes of docs/fencing.md are tested against the real servers, and ${name} was not found: apt-get install --no-install-recommends ${debianPackage}`,
  );
}

function find(name: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...folders, ...postgresFolders()].map((folder) => join(folder, name)).find(isExecutable);
}

function postgresFolders(): string[] {
  try {
    const root = "/usr/lib/postgresql";
    return readdirSync(root).map((version) => join(root, version, "bin"));
  } catch {
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function idsOf(user: string): { readonly uid: number; readonly gid: number } {
  const [, uid, gid] = new RegExp(`^${user}:[^:]*:(\\d+):(\\d+):`, "m").exec(readFileSync("/etc/passwd", "utf8")) ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`there is no user ${user}`);
  return { uid: Number(uid), gid: Number(gid) };
}

async function untilReady(name: string, child: ChildProcess, dir: string, ready: () => Promise<boolean>): Promise<void> {
  adopt(child);
  let log = "";
  child.stderr?.on("data", (chunk: Buffer) => (log = (log + chunk.toString()).slice(-16_000)));
  const ended = new Promise<void>((resolve) => void child.once("close", () => resolve()));
  whenFinished(async () => {
    child.kill("SIGKILL");
    await ended;
    removeFolder(dir);
  });
  const limit = performance.now() + READY_WITHIN_MS;
  while (!(await ready())) {
    if (child.exitCode !== null || performance.now() > limit) throw new Error(`${name} does not answer\n${log}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function answerOf(command: string, args: readonly string[], input?: string): Promise<Answer> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { encoding: "utf8" }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : 1, stdout, stderr });
    });
    child.stdin?.end(input ?? "");
  });
}
