/**
 * Finds or builds the servers of the wide tier, each at a pinned version, below .cache/servers or in Go's bin folder, and says what it builds.
 * What can't be had is an error that says what to install, or how to go without.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { build, buildWithGo, CACHE, candidates, isExecutable, MINIO_MODULE, type MinioRunner, run } from "../../support/find-servers.ts";
import { leaveOutVariable, type WideName } from "./left-out.ts";

const VERSIONS = {
  versitygw: "v1.8.0",
  rclone: "v1.76.0",
  "rclone-old": "v1.71.2",
  moto: "5.2.5",
  s3mock: "5.2.0",
  "s3s-fs": "0.14.1",
  esbuild: "0.25.12",
  s3rver: "3.7.1",
  fauxqs: "2.4.1",
};

/** The version of each server that is pinned here. */
export type Pinned = keyof typeof VERSIONS;
export function versionOf(name: Pinned): string {
  return VERSIONS[name].replace(/^v/, "");
}

/** The release, or the commit that find-servers.ts pins where the program was built by it. */
export function minioVersionOf(runner: MinioRunner | null): string {
  const said = runner?.kind === "binary" ? run(runner.path, ["--version"]).stdout : (runner?.image ?? "");
  return /RELEASE\.[\w-]+/.exec(said)?.[0] ?? MINIO_MODULE.slice(MINIO_MODULE.lastIndexOf("@") + 1);
}

/** The version of its module that a program built by Go carries, as `go version` reads it. */
export function goVersionOf(path: string | null): string {
  const said = path === null ? "" : run("go", ["version", "-m", path]).stdout;
  return /^\tmod\t\S+\tv(\S+)/m.exec(said)?.[1] ?? "of an unknown version";
}

export async function findVersitygw(): Promise<string> {
  return await fromGo("versitygw", `github.com/versity/versitygw/cmd/versitygw@${VERSIONS.versitygw}`, "half a minute, once");
}

/** Two of them, each in a folder of its own: conditions came between. Debian's has no `serve s3` at all. */
export async function findRclone(which: "rclone" | "rclone-old"): Promise<string> {
  const folder = home(`rclone-${versionOf(which)}`);
  const path = join(folder, "rclone");
  if (isExecutable(path)) return path;
  const command = ["env", `GOBIN=${folder}`, "go", "install", `github.com/rclone/rclone@${VERSIONS[which]}`];
  if ((await build({ name: which, duration: "4 minutes on 2 cores, once", command, say })) && isExecutable(path)) return path;
  throw cantBeHad("rclone", "Go 1.24 or newer");
}

/** The `moto_server` of a Python environment of its own. */
export async function findMoto(): Promise<string> {
  const folder = home("moto");
  const path = join(folder, "bin/moto_server");
  if (isExecutable(path)) return path;
  const made = await build({ name: "moto-venv", duration: "seconds", command: ["python3", "-m", "venv", folder], say });
  const pip = [join(folder, "bin/pip"), "install", "--quiet", `moto[s3,server]==${VERSIONS.moto}`];
  if (made && (await build({ name: "moto", duration: "half a minute, once", command: pip, say })) && isExecutable(path)) return path;
  throw cantBeHad("moto", "Python 3.10 or newer with venv and pip");
}

export async function findS3mock(): Promise<string> {
  const folder = home("s3mock");
  const path = join(folder, `s3mock-${VERSIONS.s3mock}-exec.jar`);
  if (existsSync(path)) return path;
  const copy = [
    ...["mvn", "--batch-mode", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"],
    `-Dartifact=com.adobe.testing:s3mock:${VERSIONS.s3mock}:jar:exec`,
    `-DoutputDirectory=${folder}`,
  ];
  if ((await build({ name: "s3mock", duration: "seconds", command: copy, say })) && existsSync(path)) return path;
  throw cantBeHad("s3mock", "Java 17 or newer and Maven");
}

export async function findS3sFs(): Promise<string> {
  const folder = home("s3s-fs");
  const path = join(folder, "bin/s3s-fs");
  if (isExecutable(path)) return path;
  const command = ["cargo", "install", "s3s-fs", "--version", VERSIONS["s3s-fs"], "--features", "binary", "--root", folder];
  if ((await build({ name: "s3s-fs", duration: "2 minutes on 2 cores, once", command, say })) && isExecutable(path)) return path;
  throw cantBeHad("s3s-fs", "Cargo with Rust 1.92 or newer");
}

/** What bundles a Worker. */
export async function findEsbuild(): Promise<string> {
  return await findNpm("esbuild", "bin/esbuild");
}

/** A server or tool that is an npm package: the path of the script to run. */
export async function findNpm(name: "s3rver" | "fauxqs" | "esbuild", script: string): Promise<string> {
  const folder = home(name);
  const path = join(folder, "node_modules", name, script);
  if (existsSync(path)) return path;
  const quiet = ["--no-audit", "--no-fund", "--loglevel", "error"];
  const command = ["npm", "install", "--prefix", folder, ...quiet, `${name}@${VERSIONS[name]}`];
  if ((await build({ name, duration: "seconds", command, say })) && existsSync(path)) return path;
  throw cantBeHad(name === "esbuild" ? "workerd" : name, "npm");
}

const CEPH_PACKAGES = ["radosgw", "ceph-mon", "ceph-osd", "ceph-common"];

/** Installs Debian's packages where it may. Returns what Ceph says its version is. */
export async function findCeph(): Promise<string> {
  const programs = ["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "monmaptool"];
  const isThere = (): boolean => programs.every((name) => candidates(name).length > 0);
  if (!isThere() && process.getuid?.() === 0 && candidates("apt-get").length > 0) {
    const install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", ...CEPH_PACKAGES];
    await build({ name: "ceph-lists", duration: "seconds", command: ["apt-get", "update", "--quiet"], say });
    await build({ name: "ceph", duration: "a minute, once", command: ["env", "DEBIAN_FRONTEND=noninteractive", ...install], say });
  }
  if (!isThere()) throw cantBeHad("ceph", `Debian's packages ${CEPH_PACKAGES.join(", ")} (apt-get install --no-install-recommends)`);
  return /version (\S+)/.exec(run("radosgw", ["--version"]).stdout)?.[1] ?? "of an unknown version";
}

async function fromGo(name: WideName, module: string, duration: string): Promise<string> {
  const path = candidates(name)[0] ?? (await buildWithGo(module, name, duration, say));
  if (path === undefined) throw cantBeHad(name, `Go 1.24 or newer, or a ${name} on PATH`);
  return path;
}

function home(name: string): string {
  const folder = join(CACHE, "servers", name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

function cantBeHad(name: WideName, needs: string): Error {
  return new Error(
    `The wide tier needs ${name}, and it can't be had: install ${needs}. To go without it on purpose: ${leaveOutVariable(name)}=1`,
  );
}

function say(line: string): void {
  process.stderr.write(`[test servers] ${line}\n`);
}
