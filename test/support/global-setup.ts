/** Runs once for each test run, before any test: finds or builds the real servers and starts those that the tests share. */
import type { TestProject } from "vitest/node";
import { findGofakes3, findMinio, HOW_TO_GET_GOFAKES3, HOW_TO_GET_MINIO, type MinioRunner } from "./find-servers.ts";
import { type S3Server, startComposedMinio, startGofakes3With, startMinioWith } from "./servers.ts";
import { removeFolder } from "./reaper.ts";

declare module "vitest" {
  export interface ProvidedContext {
    minio: S3Server;
    /** How a test gets a MinIO of its own; null if only a foreign endpoint is at hand. */
    minioRunner: MinioRunner | null;
    gofakes3: S3Server | null;
    gofakes3Path: string | null;
  }
}

type Stop = () => Promise<void> | void;

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stops: Stop[] = [];
  const runner = await findMinio(say);
  const minio = await shareMinio(runner, stops);
  project.provide("minio", minio);
  project.provide("minioRunner", runner ?? null);

  const withoutGofakes3 = process.env["S3_CONSENSUS_TEST_WITHOUT_GOFAKES3"] === "1";
  const gofakes3Path = withoutGofakes3 ? undefined : await findGofakes3(say);
  if (gofakes3Path === undefined && !withoutGofakes3) throw new Error(HOW_TO_GET_GOFAKES3);
  project.provide("gofakes3Path", gofakes3Path ?? null);
  project.provide("gofakes3", gofakes3Path === undefined ? null : shared(await ofOurOwn(startGofakes3With(gofakes3Path), stops)));

  return async () => {
    for (const stop of stops.reverse()) await stop();
    if (withoutGofakes3) say("NOT RUN: everything on gofakes3 (S3_CONSENSUS_TEST_WITHOUT_GOFAKES3=1)");
  };
}

async function shareMinio(runner: MinioRunner | undefined, stops: Stop[]): Promise<S3Server> {
  const endpoint = process.env["S3_CONSENSUS_TEST_ENDPOINT"];
  if (endpoint !== undefined && endpoint !== "") return foreignServer(endpoint);
  if (runner === undefined) throw new Error(HOW_TO_GET_MINIO);
  if (runner.kind === "binary") return shared(await ofOurOwn(startMinioWith(runner), stops));
  const composed = await startComposedMinio();
  stops.push(composed.stop);
  return composed.server;
}

function foreignServer(endpoint: string): S3Server {
  return {
    name: "minio",
    endpoint: endpoint.replace(/\/+$/, ""),
    region: process.env["AWS_REGION"] ?? process.env["AWS_DEFAULT_REGION"] ?? "us-east-1",
    accessKeyId: process.env["AWS_ACCESS_KEY_ID"] ?? "minioadmin",
    secretAccessKey: process.env["AWS_SECRET_ACCESS_KEY"] ?? "minioadmin",
    foreign: true,
  };
}

async function ofOurOwn<T extends Awaited<ReturnType<typeof startMinioWith>>>(starting: Promise<T>, stops: Stop[]): Promise<T> {
  const server = await starting;
  stops.push(async () => {
    await server.kill();
    removeFolder(server.dir);
  });
  return server;
}

/** Only plain data crosses over to the workers. */
function shared({ name, endpoint, region, accessKeyId, secretAccessKey, foreign }: S3Server): S3Server {
  return { name, endpoint, region, accessKeyId, secretAccessKey, foreign };
}

function say(line: string): void {
  process.stderr.write(`[test servers] ${line}\n`);
}
