/** Real servers for the store tests, each on a free port of the loopback, each with a bucket `test`. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";

export interface Server {
  readonly endpoint: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export const CREDENTIALS = { accessKeyId: "minioadmin", secretAccessKey: "minioadmin" };

export function useTestCredentials(): void {
  process.env["AWS_ACCESS_KEY_ID"] = CREDENTIALS.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = CREDENTIALS.secretAccessKey;
  process.env["AWS_EC2_METADATA_DISABLED"] = "true";
}

export async function startMinio(): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), "minio-"));
  const port = await freePort();
  const env = {
    ...process.env,
    MINIO_ROOT_USER: CREDENTIALS.accessKeyId,
    MINIO_ROOT_PASSWORD: CREDENTIALS.secretAccessKey,
    MINIO_BROWSER: "off",
  };
  const child = spawn(binary("minio"), ["server", folder, "--address", `127.0.0.1:${port}`, "--quiet"], { env, stdio: "ignore" });
  return await ready(child, `http://127.0.0.1:${port}`, () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
}

export async function startGofakes3(): Promise<Server> {
  const port = await freePort();
  const child = spawn(binary("gofakes3"), ["-backend", "memory", "-host", `127.0.0.1:${port}`], { stdio: "ignore" });
  return await ready(child, `http://127.0.0.1:${port}`, () => {});
}

export function adminClient(endpoint: string, credentials: { accessKeyId: string; secretAccessKey: string } = CREDENTIALS): S3Client {
  return new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
}

async function ready(child: ChildProcess, endpoint: string, clean: () => void): Promise<Server> {
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    clean();
  };
  const client = adminClient(endpoint);
  for (let i = 0; ; i++) {
    try {
      await client.send(new CreateBucketCommand({ Bucket: "test" }));
      client.destroy();
      return { endpoint, pid: child.pid ?? 0, stop };
    } catch (error) {
      if (i > 150 || child.exitCode !== null) {
        await stop();
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function binary(name: string): string {
  const places = [...(process.env["PATH"] ?? "").split(delimiter), join(homedir(), "go", "bin")];
  const found = places.map((place) => join(place, name)).find((path) => existsSync(path));
  if (found === undefined) throw new Error(`${name} is not installed: see CONTRIBUTING.md`);
  return found;
}

export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
