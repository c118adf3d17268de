/**
 * Real S3 servers for the tests. `sharedMinio()` and `sharedGofakes3()` are started once for the whole run by global-setup.ts; a test that kills
 * or freezes its server starts one of its own by `startMinio()` or `startGofakes3()`. All listen on loopback, on a port that was free, with their
 * data in a folder that is removed afterwards.
 */
import { type ChildProcess, type StdioOptions, spawn, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { inject } from "vitest";
import { COMPOSE_FILE, HOW_TO_GET_GOFAKES3, HOW_TO_GET_MINIO, type MinioRunner } from "./find-servers.ts";
import { whenFailed, whenFinished } from "./finish.ts";
import { freeze } from "./freeze.ts";
import { freePort } from "./ports.ts";
import { adopt, adoptContainer, removeFolder, temporaryFolder } from "./reaper.ts";

/** Where a server is, and what it takes to talk to it. */
export interface S3Server {
  readonly name: string;
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** True for a server that we did not start: what a test leaves there has to be tidied up. */
  readonly foreign: boolean;
}

/** A server that belongs to one test, which may treat it as badly as it likes. It is stopped and its data removed when the test ends. */
export interface OwnServer extends S3Server {
  readonly port: number;
  /** The folder with its data (one folder a drive below it, with several drives). */
  readonly dir: string;
  /** The server's process. With Docker it is the engine's, and only root may signal it: `freeze` and `kill` work everywhere. */
  readonly pid: number;
  /** What the server wrote to its standard output and error. */
  log(): string;
  /** Stops it in an orderly way. Its data stays, so that `restart` may follow. */
  stop(): Promise<void>;
  /** kill -9: what was not on the drive is lost. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data; it must be stopped or killed before. Resolves when it answers. */
  restart(): Promise<void>;
  /** SIGSTOP, and it has stopped: connections stay open, and nothing is answered. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
}

export interface MinioOptions {
  /** Default 1. Four drives are one erasure set, which breaks in other ways when the server is killed (rules W6 and W7). */
  readonly drives?: 1 | 4 | undefined;
  /** Default: a new temporary folder, removed at the end. A given folder is kept. */
  readonly dir?: string | undefined;
  /** Default: a free one. */
  readonly port?: number | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

const CREDENTIALS = { region: "us-east-1", accessKeyId: "minioadmin", secretAccessKey: "minioadmin" } as const;
const READY_WITHIN_MS = 60_000;

export const MINIO_ENV: Readonly<Record<string, string>> = {
  MINIO_ROOT_USER: CREDENTIALS.accessKeyId,
  MINIO_ROOT_PASSWORD: CREDENTIALS.secretAccessKey,
  MINIO_BROWSER: "off",
  MINIO_UPDATE: "off",
  // Several drives on one disk, next to the operating system: refused without this.
  MINIO_CI_CD: "1",
};

/** The MinIO that all tests share: use a bucket of your own (`freshBucket`). */
export function sharedMinio(): S3Server {
  return inject("minio");
}

/** The gofakes3 that all tests share. Undefined only if the run was told to go without (S3_CONSENSUS_TEST_WITHOUT_GOFAKES3=1). */
export function sharedGofakes3(): S3Server | undefined {
  return inject("gofakes3") ?? undefined;
}

/** Every real server of this run, for `describe.each`. */
export function sharedServers(): S3Server[] {
  return [sharedMinio(), sharedGofakes3()].filter((server) => server !== undefined);
}

/** The credentials as a child process wants them. */
export function credentialsEnv(server: S3Server): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
    AWS_REGION: server.region,
    // Neither a profile of the person who runs the tests nor a metadata service may get in the way.
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
  };
}

export async function startMinio(options: MinioOptions = {}): Promise<OwnServer> {
  const runner = inject("minioRunner");
  if (runner === null) throw new Error(`This test kills its MinIO, so it can't use one that somebody else runs.\n${HOW_TO_GET_MINIO}`);
  return cleanedUp(await startMinioWith(runner, options), options.dir === undefined);
}

export async function startGofakes3(options: { readonly port?: number | undefined } = {}): Promise<OwnServer> {
  const path = inject("gofakes3Path");
  if (path === null) throw new Error(HOW_TO_GET_GOFAKES3);
  return cleanedUp(await startGofakes3With(path, options.port), true);
}

/** The server, to be killed when the current test or file has ended. */
export function cleanedUp(server: OwnServer, folderIsOurs: boolean): OwnServer {
  whenFinished(async () => {
    await server.kill();
    if (folderIsOurs) removeFolder(server.dir);
  });
  whenFailed(() => console.error(`--- log of ${server.name} at ${server.endpoint}\n${server.log()}`));
  return server;
}

/** For global-setup.ts, which has no test to clean up after. */
export async function startMinioWith(runner: MinioRunner, options: MinioOptions = {}): Promise<OwnServer> {
  const dir = options.dir ?? temporaryFolder("minio");
  const drives = options.drives ?? 1;
  const folders = drives === 1 ? [join(dir, "drive")] : Array.from({ length: drives }, (_, i) => join(dir, `drive${i + 1}`));
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  const port = options.port ?? (await freePort());
  const env = { ...MINIO_ENV, ...options.env };
  const body: Body =
    runner.kind === "binary"
      ? processBody(runner.path, ["server", "--quiet", "--address", `127.0.0.1:${port}`, ...folders], env)
      : containerBody(runner.image, folders, port, env);
  return started({ name: "minio", port, dir, body, readyPath: "/minio/health/cluster" });
}

/** For global-setup.ts. Its data is in memory: after a restart it is empty. */
export async function startGofakes3With(path: string, port?: number): Promise<OwnServer> {
  const chosen = port ?? (await freePort());
  const body = processBody(path, ["-backend", "memory", "-host", `127.0.0.1:${chosen}`, "-quiet"], {});
  return started({ name: "gofakes3", port: chosen, dir: temporaryFolder("gofakes3"), body, readyPath: "/" });
}

/** Docker Compose with the file that users get too: the shared server where neither a binary nor Go is at hand. */
export async function startComposedMinio(): Promise<{ readonly server: S3Server; readonly stop: () => void }> {
  const port = await freePort();
  const project = `s3-consensus-test-${process.pid}`;
  const compose = (stdio: StdioOptions, ...args: string[]): number | null =>
    spawnSync("docker", ["compose", "-f", COMPOSE_FILE, "-p", project, ...args], {
      stdio,
      env: { ...process.env, MINIO_PORT: String(port), MINIO_CONSOLE_PORT: "0" },
    }).status;
  adoptContainer(`${project}-minio-1`);
  const status = compose("inherit", "up", "-d", "--wait");
  if (status !== 0) throw new Error(`docker compose -f ${COMPOSE_FILE} up -d --wait ended with ${status}`);
  return {
    server: { ...CREDENTIALS, name: "minio", endpoint: `http://127.0.0.1:${port}`, foreign: false },
    stop: () => void compose("ignore", "down", "--volumes"),
  };
}

/** What runs the server: a process of ours, or a container. */
export interface Body {
  start(): void;
  readonly pid: number;
  /** Resolves when it is gone. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
  freeze(): void;
  thaw(): void;
  log(): string;
  /** Why it ended by itself, if it did. */
  gone(): string | undefined;
}

export function processBody(command: string, args: readonly string[], env: Readonly<Record<string, string>>): Body {
  let child: ChildProcess | undefined;
  let text = "";
  let ended: Promise<void> = Promise.resolve();
  return {
    start() {
      const born = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
      child = born;
      adopt(born);
      const keep = (chunk: Buffer): void => {
        text = (text + chunk.toString()).slice(-64_000);
      };
      born.stdout?.on("data", keep);
      born.stderr?.on("data", keep);
      born.once("error", (error) => keep(Buffer.from(String(error))));
      ended = new Promise((resolve) => void born.once("close", () => resolve()));
    },
    get pid() {
      return child?.pid ?? 0;
    },
    async end(signal) {
      child?.kill(signal);
      // A frozen process gets no SIGTERM.
      if (signal === "SIGTERM") child?.kill("SIGCONT");
      await ended;
    },
    freeze: () => freeze(child?.pid ?? 0),
    thaw: () => void child?.kill("SIGCONT"),
    log: () => text,
    gone: () => (child?.exitCode == null && child?.signalCode == null ? undefined : `it ended with ${child.exitCode ?? child.signalCode}`),
  };
}

function containerBody(image: string, folders: readonly string[], port: number, env: Readonly<Record<string, string>>): Body {
  const name = `s3-consensus-test-${process.pid}-${port}`;
  const docker = (...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync("docker", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`docker ${args[0]} ended with ${status}: ${stderr}`);
    return stdout.trim();
  };
  let exists = false;
  return {
    start() {
      if (exists) return void docker("start", name);
      const inside = folders.map((_, i) => `/drive${i + 1}`);
      const volumes = folders.flatMap((folder, i) => ["--volume", `${folder}:${inside[i]}`]);
      const settings = Object.entries(env).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
      const user = ["--user", `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`];
      adoptContainer(name);
      docker(
        "run",
        "--detach",
        "--name",
        name,
        ...user,
        "--publish",
        `127.0.0.1:${port}:9000`,
        ...volumes,
        ...settings,
        image,
        "server",
        ...inside,
      );
      exists = true;
    },
    get pid() {
      return Number(docker("inspect", "--format", "{{.State.Pid}}", name));
    },
    async end(signal) {
      if (this.gone() !== undefined) return;
      if (signal === "SIGTERM") docker("stop", name);
      else docker("kill", "--signal", "KILL", name);
    },
    freeze: () => void docker("pause", name),
    thaw: () => void docker("unpause", name),
    log: () => {
      const { stdout, stderr } = spawnSync("docker", ["logs", name], { encoding: "utf8" });
      return stdout + stderr;
    },
    gone: () => {
      const state = docker("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", name);
      return state.startsWith("running") || state.startsWith("paused") ? undefined : `its container is ${state}`;
    },
  };
}

export interface Plan {
  readonly name: string;
  readonly port: number;
  readonly dir: string;
  readonly body: Body;
  readonly readyPath: string;
}

/** Starts it and waits until it answers. */
export async function started({ name, port, dir, body, readyPath }: Plan): Promise<OwnServer> {
  const endpoint = `http://127.0.0.1:${port}`;
  const restart = async (): Promise<void> => {
    body.start();
    try {
      await untilReady(`${endpoint}${readyPath}`, name, body);
    } catch (error) {
      await body.end("SIGKILL");
      throw error;
    }
  };
  await restart();
  return {
    ...CREDENTIALS,
    name,
    endpoint,
    port,
    dir,
    foreign: false,
    get pid() {
      return body.pid;
    },
    log: () => body.log(),
    stop: () => body.end("SIGTERM"),
    kill: () => body.end("SIGKILL"),
    restart,
    freeze: () => body.freeze(),
    thaw: () => body.thaw(),
  };
}

async function untilReady(url: string, name: string, body: Body): Promise<void> {
  const limit = performance.now() + READY_WITHIN_MS;
  for (;;) {
    const ok = await answersWell(url);
    if (ok) return;
    const gone = body.gone();
    if (gone !== undefined || performance.now() > limit) {
      throw new Error(
        `${name} did not answer at ${url}${gone === undefined ? ` within ${READY_WITHIN_MS} ms` : `: ${gone}`}\n${body.log()}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function answersWell(url: string): Promise<boolean> {
  const limit = new AbortController();
  // Not AbortSignal.timeout: its timer doesn't keep a program alive (bench/) that waits for nothing else.
  const timer = setTimeout(() => limit.abort(), 2000);
  try {
    // A server that wants a signature says so by a 403, and is there.
    return (await fetch(url, { signal: limit.signal })).status < 500;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}
