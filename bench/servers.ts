/** The stores that are measured, each in a process of its own: the embedded server, a real MinIO, or the one that the environment names. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pass } from "node:timers/promises";
import { findMinio, HOW_TO_GET_MINIO } from "../test/support/find-servers.ts";
import { minioClient } from "../test/support/minio-client.ts";
import { freePort } from "../test/support/ports.ts";
import { adopt, removeFolder, temporaryFolder } from "../test/support/reaper.ts";
import { type Environment, kill, start } from "./run.ts";

export interface Server {
  readonly name: string;
  /** `s3://bucket/prefix?endpoint=…`: a prefix of its own for each call. */
  url(): string;
  /** The same through a proxy that adds so much to each request. */
  delayedBy(ms: number): Promise<Server>;
  /** Credentials for child processes. */
  readonly env: Environment;
  close(): Promise<void>;
}

const CREDENTIALS = { accessKeyId: "minioadmin", secretAccessKey: "minioadmin", region: "us-east-1" } as const;
const BUCKET = "bench";

const ENV: Environment = {
  AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
  AWS_REGION: CREDENTIALS.region,
  AWS_EC2_METADATA_DISABLED: "true",
  AWS_CONFIG_FILE: "/dev/null",
  AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
};

let prefixes = 0;
const fresh = (): string => `bench-${process.pid}-${++prefixes}`;

function server(name: string, endpoint: string, end: () => Promise<void>): Server {
  return {
    name,
    url: () => `s3://${BUCKET}/${fresh()}?endpoint=${encodeURIComponent(endpoint)}&region=${CREDENTIALS.region}`,
    delayedBy: async (ms) => {
      const proxy = start("server", ["proxy", endpoint, String(ms)], ENV);
      const said = await proxy.line((line) => line.event === "listening");
      return server(`${name} +${ms} ms`, String(said["endpoint"]), () => kill(proxy));
    },
    env: ENV,
    close: end,
  };
}

export async function embedded(): Promise<Server> {
  const running = start("server", ["embedded", BUCKET], ENV);
  const said = await running.line((line) => line.event === "listening");
  return server("embedded", String(said["endpoint"]), () => kill(running));
}

/** A MinIO of our own, found or built as the tests do it. */
export async function minio(say: (line: string) => void): Promise<Server> {
  const runner = await findMinio(say);
  if (runner?.kind !== "binary")
    throw new Error(`The benchmark starts a MinIO of its own, or use S3_CONSENSUS_STORE.\n${HOW_TO_GET_MINIO}`);
  const dir = temporaryFolder("bench");
  const port = await freePort();
  const child = spawn(runner.path, ["server", "--quiet", "--address", `127.0.0.1:${port}`, dir], {
    env: {
      ...process.env,
      MINIO_ROOT_USER: CREDENTIALS.accessKeyId,
      MINIO_ROOT_PASSWORD: CREDENTIALS.secretAccessKey,
      MINIO_BROWSER: "off",
    },
    stdio: "ignore",
  });
  adopt(child);
  const endpoint = `http://127.0.0.1:${port}`;
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`${endpoint}/minio/health/cluster`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (ready) break;
    if (tries > 600) throw new Error(`MinIO at ${endpoint} did not get ready within a minute`);
    await pass(100);
  }
  await minioClient({ endpoint, ...CREDENTIALS }).makeBucket(BUCKET);
  return server("MinIO", endpoint, async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    removeFolder(dir);
  });
}

/** A store of the user's: its URL, and whatever credentials his environment has. */
export function foreign(url: string): Server {
  const at = new URL(url);
  const endpoint = at.searchParams.get("endpoint") ?? undefined;
  const below = (path: string, query: URLSearchParams): string => `s3://${at.host}${path}/${fresh()}?${query.toString()}`;
  const path = at.pathname.replace(/\/+$/, "");
  return {
    name: at.host,
    url: () => below(path, at.searchParams),
    delayedBy: async (ms) => {
      if (endpoint === undefined || !endpoint.startsWith("http://"))
        throw new Error("a delay can be put in front of an http:// endpoint only");
      const proxy = start("server", ["proxy", endpoint, String(ms)], {});
      const said = await proxy.line((line) => line.event === "listening");
      const query = new URLSearchParams(at.searchParams);
      query.set("endpoint", String(said["endpoint"]));
      return { ...foreign(`s3://${at.host}${path}?${query.toString()}`), name: `${at.host} +${ms} ms`, close: () => kill(proxy) };
    },
    env: {},
    close: () => Promise.resolve(),
  };
}

/** The rows of each server, first as it is and then through a proxy that adds so much to each request. */
export async function eachWithDelay<R>(
  servers: readonly Server[],
  delayMs: number,
  rowsOf: (server: Server, isDelayed: boolean) => Promise<readonly R[]>,
): Promise<R[]> {
  const rows: R[] = [];
  for (const server of servers) {
    rows.push(...(await rowsOf(server, false)));
    const delayed = await server.delayedBy(delayMs);
    try {
      rows.push(...(await rowsOf(delayed, true)));
    } finally {
      await delayed.close();
    }
  }
  return rows;
}
