/**
 * The programs in README.md and docs/: those that import something are compiled, those marked "ts runnable" are run too, each as a user would
 * do it who pasted it into a project of his own. What they call `http://127.0.0.1:9000` is the embedded S3 server here.
 */
import { spawn } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FakeS3, fakeS3 } from "../../src/testing/index.ts";
import { adopt } from "../support/reaper.ts";
import { Consumer, pack } from "./consumer.ts";
import { type Example, examples } from "./examples.ts";

const all = examples();
const programs = all.filter(({ code, runnable }) => runnable || /^import\b/m.test(code));
const runnable = all.filter((example) => example.runnable);

let consumer: Consumer;
let server: FakeS3;

beforeAll(async () => {
  consumer = Consumer.install(pack().tarball, "module");
  const named = programs.flatMap(({ code }) =>
    [...code.matchAll(/s3:\/\/([a-z0-9.-]+)|bucket: "([^"]+)"/g)].map((match) => match[1] ?? match[2] ?? ""),
  );
  server = await fakeS3({ buckets: [...new Set(["locks", ...named])] });
});

afterAll(() => server.close());

describe("programs in our texts", () => {
  it("there are some in the README, and at least one of them is run", () => {
    expect(runnable.some(({ where }) => where.startsWith("README.md"))).toBe(true);
  });

  it.each(programs)("$where compiles under the strictest options", ({ code }) => {
    consumer.write("program.ts", asModule(code));
    expect(() => consumer.compile(["program.ts"])).not.toThrow();
  });

  it.each(runnable)("$where runs to its end, and says something unless it checks itself", async (example) => {
    const { code, stdout, stderr } = await run(example);
    expect(stderr).toBe("");
    if (!example.code.includes("node:assert")) expect(stdout).not.toBe("");
    expect(code).toBe(0);
  });
});

/** A block without an export would be a script to the compiler, and its top-level await an error. */
function asModule(code: string): string {
  return `${code}\nexport {};\n`;
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that goes on for ever is stopped as a platform would do it, by SIGTERM, once it has said something and then fallen silent. */
async function run({ code }: Example): Promise<Ended> {
  consumer.write("program.ts", asModule(code.replaceAll(/http:\/\/(?:127\.0\.0\.1|localhost):9000/g, server.endpoint)));
  consumer.compile(["program.ts"]);
  const env = {
    PATH: process.env["PATH"],
    AWS_ACCESS_KEY_ID: "minioadmin",
    AWS_SECRET_ACCESS_KEY: "minioadmin",
    AWS_REGION: "us-east-1",
    AWS_ENDPOINT_URL_S3: server.endpoint,
    S3_CONSENSUS_STORE: server.url("locks"),
  };
  // The SDK warns of its end on Node 20; that is its business.
  const child = spawn(process.execPath, ["--no-warnings", "out/program.js"], {
    cwd: consumer.folder,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  adopt(child);
  let stdout = "";
  let stderr = "";
  let stop: NodeJS.Timeout | undefined;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    clearTimeout(stop);
    stop = setTimeout(() => child.kill("SIGTERM"), 3_000);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const limit = setTimeout(() => child.kill("SIGKILL"), 90_000);
  const ended = await new Promise<number | null>((resolve) => void child.once("close", resolve));
  clearTimeout(limit);
  clearTimeout(stop);
  return { code: ended, stdout, stderr };
}
