/**
 * Finds the real S3 servers that the tests need, or builds them. Nothing is skipped in silence: where a server can't be had, the error says what
 * to install.
 */
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { accessSync, constants, createWriteStream, mkdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { adopt } from "./reaper.ts";

/** The release tags of MinIO aren't served by the module proxy, so the commit's pseudo-version is pinned. */
export const MINIO_MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c";
const GOFAKES3_MODULE = "github.com/johannesboyne/gofakes3/cmd/gofakes3@v1.2.0";

/** The first release that answers 404 to `If-Match` on a missing key; older ones create the object. */
const OLDEST_RIGHT_MINIO = "2025-09-07";

const GOLANG_IMAGE = "golang:1.26";

/** A build that takes longer than this on any machine has got stuck, in its downloads most likely. */
const BUILD_LIMIT_MS = 20 * 60_000;

export const COMPOSE_FILE: string = join(import.meta.dirname, repositoryDepth(), "docker-compose.minio.yml");

export const CACHE: string = join(COMPOSE_FILE, "../.cache");

/** How a MinIO of our own can be started. */
export type MinioRunner = { readonly kind: "binary"; readonly path: string } | { readonly kind: "docker"; readonly image: string };

/** Looks on PATH, then in Go's bin folder, then builds with Go, then asks for a Docker engine. */
export async function findMinio(say: (line: string) => void): Promise<MinioRunner | undefined> {
  for (const path of candidates("minio")) {
    const flaw = flawOfMinio(path);
    if (flaw === undefined) return { kind: "binary", path };
    say(`${path} ${flaw}; looking further`);
  }
  const built = await buildWithGo(MINIO_MODULE, "minio", "3 to 4 minutes on 2 cores, once", say);
  if (built !== undefined) return { kind: "binary", path: built };
  return dockerAnswers() ? { kind: "docker", image: composeImage() } : undefined;
}

/** Looks on PATH, then in Go's bin folder, then builds with Go, then with the Go of a container. */
export async function findGofakes3(say: (line: string) => void, cache: string = CACHE): Promise<string | undefined> {
  return (
    candidates("gofakes3")[0] ??
    (await buildWithGo(GOFAKES3_MODULE, "gofakes3", "a few seconds, once", say)) ??
    (dockerAnswers() ? await buildInContainer(GOFAKES3_MODULE, "gofakes3", cache, say) : undefined)
  );
}

export const HOW_TO_GET_MINIO: string = [
  "The tests need a real MinIO, and none was found. Any one of these is enough:",
  "  - Go 1.24 or newer on PATH (https://go.dev/dl): MinIO and gofakes3 are then built by the test run itself",
  `  - a "minio" of RELEASE.${OLDEST_RIGHT_MINIO} or newer on PATH`,
  "  - a running Docker engine with Compose: docker-compose.minio.yml is then used",
  "  - S3_CONSENSUS_TEST_ENDPOINT=http://host:port with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for a server that you run yourself",
].join("\n");

export const HOW_TO_GET_GOFAKES3: string = [
  "The tests need gofakes3, an independent S3 implementation, and it was not found. Any one of these is enough:",
  "  - Go 1.24 or newer on PATH (https://go.dev/dl): it is then built by the test run itself in a few seconds",
  "  - a running Docker engine with Compose: it is then built by the Go of a container",
  `  - a "gofakes3" on PATH (go install ${GOFAKES3_MODULE})`,
  "To run without it on purpose, set S3_CONSENSUS_TEST_WITHOUT_GOFAKES3=1: the summary will name what was left out.",
].join("\n");

/** Compiled tests lie two folders deeper (in .cache/build) than their sources. */
function repositoryDepth(): string {
  return import.meta.dirname.includes(join(".cache", "build")) ? "../../../.." : "../..";
}

/** Every executable of this name, on PATH first, then where `go install` puts them. */
export function candidates(name: string): string[] {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return [...new Set([...folders, ...goBinFolders()].map((folder) => join(folder, name)))].filter(isExecutable);
}

function goBinFolders(): string[] {
  const told = run("go", ["env", "GOBIN", "GOPATH"]);
  const [bin = "", paths = ""] = told.status === 0 ? told.stdout.split("\n") : [];
  const ofPaths = paths.split(delimiter).filter((path) => path !== "");
  return [...(bin === "" ? [] : [bin]), ...ofPaths.map((path) => join(path, "bin")), join(homedir(), "go", "bin")];
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function flawOfMinio(path: string): string | undefined {
  const { stdout, status } = run(path, ["--version"]);
  if (status !== 0 || !stdout.startsWith("minio version")) return "is not a MinIO server";
  const released = /RELEASE\.(\d{4}-\d{2}-\d{2})/.exec(stdout)?.[1];
  // A build by `go install` has no release date; it is newer than the one asked for, as the older ones can't be built this way by accident.
  if (released === undefined || released >= OLDEST_RIGHT_MINIO) return undefined;
  return `is of ${released}, whose conditional writes are wrong (RELEASE.${OLDEST_RIGHT_MINIO} or newer is needed)`;
}

export async function buildWithGo(
  module: string,
  name: string,
  duration: string,
  say: (line: string) => void,
): Promise<string | undefined> {
  if (run("go", ["version"]).status !== 0) return undefined;
  if (!(await build({ name, duration, command: ["go", "install", module], say }))) return undefined;
  return goBinFolders()
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/** For a machine that has Docker and no Go. The program that comes out is one for this machine, and runs outside of the container. */
async function buildInContainer(module: string, name: string, cache: string, say: (line: string) => void): Promise<string | undefined> {
  const folder = join(cache, "bin");
  const path = join(folder, name);
  if (isExecutable(path)) return path;
  mkdirSync(folder, { recursive: true });
  const user = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
  const settings = {
    ...{ HOME: "/tmp", GOPATH: "/tmp/go", GOCACHE: "/tmp/cache", CGO_ENABLED: "0" },
    ...{ GOOS: process.platform, GOARCH: process.arch === "x64" ? "amd64" : process.arch },
  };
  const env = Object.entries(settings).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
  // For another system than the container's, Go installs into a folder below bin.
  const script = `go install ${module} && cp $(find /tmp/go/bin -type f) /out/`;
  const command = ["docker", "run", "--rm", "--user", user, "--volume", `${folder}:/out`, ...env, GOLANG_IMAGE, "sh", "-c", script];
  return (await build({ name, duration: "a minute, once", command, say })) && isExecutable(path) ? path : undefined;
}

export interface Build {
  readonly name: string;
  readonly duration: string;
  readonly command: readonly string[];
  readonly say: (line: string) => void;
}

/** Runs the command with its output in a log, tells how it goes, and whether it went well. */
export async function build({ name, duration, command: [program = "", ...args], say }: Build): Promise<boolean> {
  mkdirSync(CACHE, { recursive: true });
  const logPath = join(CACHE, `build-${name}.log`);
  const line = `${program} ${args.join(" ")}`;
  say(`building ${name} (${duration}): ${line}`);
  const started = Date.now();
  const seconds = (): number => Math.round((Date.now() - started) / 1000);
  // A person who waits for minutes wants to see that something happens.
  const progress = setInterval(() => say(`still building ${name}: ${seconds()} s`), 20_000);
  const status = await new Promise<number | null>((resolve) => {
    const log = createWriteStream(logPath);
    const builder = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], timeout: BUILD_LIMIT_MS });
    adopt(builder);
    builder.stdout.pipe(log, { end: false });
    builder.stderr.pipe(log, { end: false });
    builder.once("error", () => resolve(null));
    builder.once("close", (code) => log.end(() => resolve(code)));
  });
  clearInterval(progress);
  if (status === 0) say(`built ${name} in ${seconds()} s`);
  else
    say(
      `${line} failed (exit ${status ?? "none: it took too long"}); the end of ${logPath}:\n${readFileSync(logPath, "utf8").slice(-4000)}`,
    );
  return status === 0;
}

/** The command alone proves nothing: only an engine that answers can run a container. */
export function dockerAnswers(): boolean {
  return run("docker", ["info", "--format", "{{.ServerVersion}}"]).status === 0 && run("docker", ["compose", "version"]).status === 0;
}

function composeImage(): string {
  const image = /^\s*image:\s*(\S+)/m.exec(readFileSync(COMPOSE_FILE, "utf8"))?.[1];
  if (image === undefined) throw new Error(`no image is named in ${COMPOSE_FILE}`);
  return image;
}

export function run(command: string, args: readonly string[]): SpawnSyncReturns<string> {
  return spawnSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], timeout: 20_000 });
}
