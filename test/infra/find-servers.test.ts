/** Where servers are looked for, in which order, and what is said when there is none. Machines are made of a folder with scripts in it. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import { COMPOSE_FILE, findGofakes3, findMinio, HOW_TO_GET_GOFAKES3, HOW_TO_GET_MINIO } from "../support/find-servers.ts";
import { whenFinished } from "../support/finish.ts";
import { temporaryFolder } from "../support/reaper.ts";

const ROOT = join(COMPOSE_FILE, "..");
const OLD = `echo "minio version RELEASE.2024-01-16T16-07-38Z (commit-id=0)"`;
const GOOD = `echo "minio version RELEASE.2025-09-07T16-13-09Z (commit-id=0)"`;
const BUILT = `echo "minio version DEVELOPMENT.GOGET (commit-id=0)"`;
const NOT_MINIO = `echo "Midnight Commander"`;

interface Machine {
  readonly home: string;
  readonly said: string[];
  readonly say: (line: string) => void;
}

/** From now to the end of the test, PATH and home folder are this machine's: programs by name, each with the text of a shell script. */
function machine(programs: Readonly<Record<string, string>>): Machine {
  const home = temporaryFolder("machine");
  const { PATH, HOME } = process.env;
  whenFinished(() => {
    Object.assign(process.env, { PATH, HOME });
  });
  for (const [name, script] of Object.entries(programs)) put(home, name.includes("/") ? name : `bin/${name}`, script);
  Object.assign(process.env, { PATH: join(home, "bin"), HOME: home });
  const said: string[] = [];
  return { home, said, say: (line) => void said.push(line) };
}

function put(folder: string, path: string, script: string): void {
  const full = join(folder, path);
  mkdirSync(join(full, ".."), { recursive: true });
  writeFileSync(full, `#!/bin/sh\n${script}\n`);
  chmodSync(full, 0o755);
}

/** A Go that says where it installs to, and "builds" by the given script. */
function go(install: string): string {
  return `PATH=/usr/bin:/bin
    case $1 in
      env) echo; echo "$HOME/gopath" ;;
      version) echo go1.26 ;;
      install) echo "$2" >>"$HOME/installed"; ${install} ;;
    esac`;
}

const goThatBuilds = go(
  `mkdir -p "$HOME/gopath/bin"; for n in minio gofakes3; do printf '#!/bin/sh\\n${BUILT.replaceAll('"', '\\"')}\\n' >"$HOME/gopath/bin/$n"; chmod +x "$HOME/gopath/bin/$n"; done`,
);
const dockerThatAnswers = `case "$1 $2" in "info --format") echo 28 ;; "compose version") echo 2 ;; *) exit 1 ;; esac`;

describe("MinIO is looked for", () => {
  it("on PATH first", async () => {
    const { home, said, say } = machine({ minio: GOOD, "gopath/bin/minio": BUILT, go: goThatBuilds, docker: dockerThatAnswers });
    expect(await findMinio(say)).toEqual({ kind: "binary", path: join(home, "bin/minio") });
    expect(said).toEqual([]);
  });

  it("then in Go's bin folder, also without a Go to ask", async () => {
    const asked = machine({ "gopath/bin/minio": BUILT, go: goThatBuilds });
    expect(await findMinio(asked.say)).toEqual({ kind: "binary", path: join(asked.home, "gopath/bin/minio") });
    const guessed = machine({ "go/bin/minio": BUILT });
    expect(await findMinio(guessed.say)).toEqual({ kind: "binary", path: join(guessed.home, "go/bin/minio") });
  });

  it("and one that is too old, or something else of that name, is passed over and named", async () => {
    const { home, said, say } = machine({ minio: OLD, "gopath/bin/minio": NOT_MINIO, "go/bin/minio": GOOD, go: goThatBuilds });
    expect(await findMinio(say)).toEqual({ kind: "binary", path: join(home, "go/bin/minio") });
    expect(said).toEqual([
      expect.stringContaining("is of 2024-01-16, whose conditional writes are wrong"),
      expect.stringContaining("is not a MinIO server"),
    ]);
  });

  it("then it is built, at a pinned version, and that is said", async () => {
    const { home, said, say } = machine({ go: goThatBuilds, docker: dockerThatAnswers });
    expect(await findMinio(say)).toEqual({ kind: "binary", path: join(home, "gopath/bin/minio") });
    expect(readFileSync(join(home, "installed"), "utf8")).toMatch(/^github\.com\/minio\/minio@v0\.0\.0-20260212201848-7aac2a2c5b7c\n$/);
    expect(said[0]).toMatch(/building minio \(3 to 4 minutes/);
    expect(said.at(-1)).toMatch(/built minio in \d+ s/);
  });

  it("then Docker is asked; a build that failed before shows its log", async () => {
    const { said, say } = machine({ go: go("echo no route to the proxy >&2; exit 1"), docker: dockerThatAnswers });
    expect(await findMinio(say)).toEqual({ kind: "docker", image: "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z" });
    expect(said.at(-1)).toMatch(/failed \(exit 1\)[^]*no route to the proxy/);
  });

  it("and not found where Docker has a command but no engine", async () => {
    const { say } = machine({ docker: `[ "$1" = compose ]` });
    expect(await findMinio(say)).toBeUndefined();
  });
});

describe("gofakes3 is looked for", () => {
  it("on PATH, then built", async () => {
    const there = machine({ gofakes3: "exit 0" });
    expect(await findGofakes3(there.say)).toBe(join(there.home, "bin/gofakes3"));
    const built = machine({ go: goThatBuilds });
    expect(await findGofakes3(built.say)).toBe(join(built.home, "gopath/bin/gofakes3"));
    expect(readFileSync(join(built.home, "installed"), "utf8")).toBe("github.com/johannesboyne/gofakes3/cmd/gofakes3@v1.2.0\n");
    const none = machine({ docker: `[ "$1" = compose ]` });
    expect(await findGofakes3(none.say)).toBeUndefined();
  });

  it("and last built in a container", async () => {
    const cache = temporaryFolder("cache");
    const built = join(cache, "bin/gofakes3");
    const docker = `echo "$@" >>"$HOME/asked"; case $1 in
      info|compose) exit 0 ;;
      run) printf '#!/bin/sh\n' >"${built}"; /bin/chmod +x "${built}" ;;
    esac`;
    const { home, said, say } = machine({ docker });
    expect(await findGofakes3(say, cache)).toBe(built);
    expect(readFileSync(join(home, "asked"), "utf8")).toMatch(
      /^run --rm --user .* golang:1\.26 sh -c go install github\.com\/johannesboyne\/gofakes3/m,
    );
    expect(said.at(-1)).toMatch(/built gofakes3/);
    // Once is enough.
    expect(await findGofakes3(say, cache)).toBe(built);
    expect(readFileSync(join(home, "asked"), "utf8").match(/^run/gm)).toHaveLength(1);
  });
});

describe("a whole run", () => {
  /** Runs one small file of tests on a machine that has these programs; gives exit status and output. */
  function runOn(
    programs: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): { readonly status: number | null; readonly said: string } {
    const home = temporaryFolder("machine");
    const bin = join(home, "bin");
    mkdirSync(bin);
    for (const path of programs) symlinkSync(path, join(bin, path.split("/").at(-1) ?? ""));
    const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
    const args = [vitest, "run", "--reporter=dot", "--project=unit", "test/infra/ports.test.ts"];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: ROOT,
      encoding: "utf8",
      env: { PATH: bin, HOME: home, TMPDIR: home, NO_COLOR: "1", ...env },
    });
    return { status, said: stdout + stderr };
  }

  const runner = inject("minioRunner");
  const minio = runner?.kind === "binary" ? runner.path : "";
  const gofakes3 = inject("gofakes3Path") ?? "";
  it("without any MinIO fails and says what to install", () => {
    const { status, said } = runOn([]);
    expect(status).toBe(1);
    expect(said).toContain(HOW_TO_GET_MINIO);
    expect(said).not.toMatch(/\d+ passed/);
  });

  // Where MinIO comes from Docker, or the run was told to go without gofakes3, these cases can't be had apart.
  if (minio === "" || gofakes3 === "") return;

  it("without gofakes3 fails and says what to install", () => {
    const { status, said } = runOn([minio]);
    expect(status).toBe(1);
    expect(said).toContain(HOW_TO_GET_GOFAKES3);
    expect(said).not.toMatch(/\d+ passed/);
  });

  it("without gofakes3 on purpose passes, and its summary names what did not run", () => {
    const { status, said } = runOn([minio], { S3_CONSENSUS_TEST_WITHOUT_GOFAKES3: "1" });
    expect(said).toMatch(/Tests\s+1 passed[^]*NOT RUN: everything on gofakes3/);
    expect(status).toBe(0);
  });

  it("takes the endpoint that it is told, with its credentials", () => {
    const shared = inject("minio");
    const { status, said } = runOn([gofakes3], {
      S3_CONSENSUS_TEST_ENDPOINT: shared.endpoint,
      AWS_ACCESS_KEY_ID: shared.accessKeyId,
      AWS_SECRET_ACCESS_KEY: shared.secretAccessKey,
    });
    expect(said).toMatch(/Tests\s+1 passed/);
    expect(status).toBe(0);
  });
});
