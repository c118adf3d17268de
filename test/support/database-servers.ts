/**
 * PostgreSQL and Redis of Debian or Ubuntu as processes of their own. Each listens on a Unix socket in a folder of its own and nowhere else, and is gone
 * when it is stopped, or this process ends.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { accessSync, chownSync, constants, readdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { adopt, removeFolder, temporaryFolder } from "./reaper.ts";

const READY_WITHIN_MS = 60_000;
const INSTALL_LIMIT_MS = 300_000;

export interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface DatabaseServer {
  /** Its own folder: for what belongs to it, and is gone with it. */
  readonly dir: string;
  /** The program that talks to it, and the arguments that name it. */
  readonly client: readonly [string, ...string[]];
  stop(): Promise<void>;
}

export interface RedisServer extends DatabaseServer {
  readonly socket: string;
}

export async function launchPostgres(): Promise<DatabaseServer> {
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
  const client = [psql, "-h", dir, "-U", "postgres", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"] as const;
  const ready = async (): Promise<boolean> => (await answerOf([...client, "-d", "postgres"], "SELECT 1;")).code === 0;
  return { dir, client, stop: await untilReady("postgres", child, dir, ready) };
}

export async function launchRedis(): Promise<RedisServer> {
  const server = program("redis-server", "redis-server");
  const cli = program("redis-cli", "redis-server");
  const dir = temporaryFolder("redis");
  const socket = join(dir, "redis.sock");
  const args = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir];
  const child = spawn(server, args, { cwd: dir, stdio: ["ignore", "ignore", "pipe"] });
  const client = [cli, "-s", socket, "-e"] as const;
  const ready = async (): Promise<boolean> => (await answerOf([...client, "PING"])).stdout === "PONG\n";
  return { dir, socket, client, stop: await untilReady("redis-server", child, dir, ready) };
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
  throw new Error(`${name} is needed and was not found: apt-get install --no-install-recommends ${debianPackage}`);
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

/** @returns what stops it. */
async function untilReady(name: string, child: ChildProcess, dir: string, ready: () => Promise<boolean>): Promise<() => Promise<void>> {
  adopt(child);
  let log = "";
  child.stderr?.on("data", (chunk: Buffer) => (log = (log + chunk.toString()).slice(-16_000)));
  const ended = new Promise<void>((resolve) => void child.once("close", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    removeFolder(dir);
  };
  const limit = performance.now() + READY_WITHIN_MS;
  while (!(await ready())) {
    if (child.exitCode !== null || performance.now() > limit) {
      await stop();
      throw new Error(`${name} does not answer\n${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return stop;
}

export function answerOf([command, ...args]: readonly [string, ...string[]], input?: string): Promise<Answer> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { encoding: "utf8" }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : 1, stdout, stderr });
    });
    // One that reads nothing may be gone before.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input ?? "");
  });
}
