/** Starts the servers of the wide tier that are one process each: on loopback, on a free port, with their data in a folder that is removed. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { freePort } from "../../support/ports.ts";
import { temporaryFolder } from "../../support/reaper.ts";
import { cleanedUp, type OwnServer, processBody, type S3Server, started } from "../../support/servers.ts";
import { runtime, RUNTIMES } from "../runtimes.ts";
import { findMoto, findNpm, findRclone, findS3mock, findS3sFs, findVersitygw } from "./find.ts";

const KEY = "minioadmin";

interface Launch {
  readonly name: string;
  readonly command: string;
  readonly args: (port: number, dir: string) => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly dir?: string;
}

async function launch({ name, command, args, env = {}, dir: given }: Launch): Promise<OwnServer> {
  const port = await freePort();
  const dir = given ?? temporaryFolder(name);
  return cleanedUp(
    await started({ name, port, dir, body: processBody(command, args(port, dir), env), readyPath: "/" }),
    given === undefined,
  );
}

/** Several of them may serve one folder. */
export async function startVersitygw(dir?: string): Promise<OwnServer> {
  return await launch({
    name: "versitygw",
    command: await findVersitygw(),
    args: (port, folder) => ["--access", KEY, "--secret", KEY, "--port", `127.0.0.1:${port}`, "--quiet", "posix", folder],
    ...(dir === undefined ? {} : { dir }),
  });
}

/** Its data is in memory. */
export async function startMoto(): Promise<OwnServer> {
  return await launch({ name: "moto", command: await findMoto(), args: (port) => ["-H", "127.0.0.1", "-p", `${port}`] });
}

export async function startRclone(which: "rclone" | "rclone-old" = "rclone"): Promise<OwnServer> {
  return await launch({
    name: "rclone",
    command: await findRclone(which),
    args: (port, dir) => [
      "serve",
      "s3",
      "--config",
      join(dir, "none"),
      "--auth-key",
      `${KEY},${KEY}`,
      "--addr",
      `127.0.0.1:${port}`,
      data(dir),
    ],
  });
}

export async function startS3sFs(): Promise<OwnServer> {
  return await launch({
    name: "s3s-fs",
    command: await findS3sFs(),
    args: (port, dir) => ["--host", "127.0.0.1", "--port", `${port}`, "--access-key", KEY, "--secret-key", KEY, data(dir)],
  });
}

/** Beside the port that it is asked on, it opens one that can't be closed nor bound to loopback: any free one. */
export async function startS3mock(): Promise<OwnServer> {
  const jar = await findS3mock();
  return await launch({
    name: "s3mock",
    command: "java",
    args: (port, dir) => [
      ...["-Xmx512m", `-Djava.io.tmpdir=${dir}`, "-jar", jar],
      ...["--server.address=127.0.0.1", `--server.port=${port}`, "--server.ssl.enabled=false", "--http.port=0"],
    ],
  });
}

/** It knows one key, its own name. */
export async function startS3rver(): Promise<S3Server> {
  const script = await findNpm("s3rver", "bin/s3rver.js");
  const server = await launch({
    name: "s3rver",
    command: process.execPath,
    args: (port, dir) => [script, "--directory", data(dir), "--address", "127.0.0.1", "--port", `${port}`, "--silent"],
  });
  return { ...server, accessKeyId: "S3RVER", secretAccessKey: "S3RVER" };
}

/** It wants a newer Node than the tests run on; its command would listen on every address, so its application is started by hand. */
export async function startFauxqs(): Promise<OwnServer> {
  const application = pathToFileURL(await findNpm("fauxqs", "dist/app.js")).href;
  const node = RUNTIMES.find(({ name }) => name === "Node 24");
  if (node === undefined) throw new Error("no Node 24 among the runtimes");
  const code = (port: number): string =>
    `import { buildApp } from "${application}"; await buildApp({ logger: false }).listen({ host: "127.0.0.1", port: ${port} });`;
  return await launch({
    name: "fauxqs",
    command: runtime(node).path,
    args: (port) => ["--input-type=module", "--eval", code(port)],
  });
}

function data(dir: string): string {
  const folder = join(dir, "data");
  mkdirSync(folder, { recursive: true });
  return folder;
}
