/** `repair` on a store that is in doubt about a key (rules W6, W7), as MinIO on several drives was after a crash. On the embedded server. */
import { beforeAll, describe, expect, it } from "vitest";
import { fakeS3, type FakeS3 } from "s3-consensus/testing";
import { type CliExit, cliEnv, runCli } from "../support/cli.ts";
import { whenFinished } from "../support/finish.ts";

let server: FakeS3;
let env: Record<string, string | undefined>;

beforeAll(async () => {
  server = await fakeS3({ buckets: ["doubt"], credentials: { accessKeyId: "mend", secretAccessKey: "mend" } });
  whenFinished(() => server.close());
  env = cliEnv(undefined, {
    S3_CONSENSUS_STORE: server.url("doubt", "app"),
    AWS_ACCESS_KEY_ID: "mend",
    AWS_SECRET_ACCESS_KEY: "mend",
    AWS_CONFIG_FILE: "/dev/null",
  });
});

const run = (...args: string[]): Promise<CliExit> => runCli(args, { env });
const lock = (name: string): Promise<CliExit> => run("lock", name, "--ttl", "3s", "--", "sh", "-c", 'echo "token $S3_CONSENSUS_TOKEN"');

describe("a key that the store is in doubt about", () => {
  it("can't be had by anybody; repair creates it anew, after W, and it goes on above its token", async () => {
    expect((await lock("doubted")).out).toBe("token 1\n");
    const doubt = server.faults.add({ kind: "in-doubt", key: "app/locks/locks/doubted" });
    expect((await lock("doubted")).status).toBe(75);
    const began = performance.now();
    const mended = await run("repair", "doubted", "--yes");
    expect(mended.status).toBe(0);
    expect(mended.err).toMatch(/a sound record: released, last by .*fencing token 1, version \d+\n[^]*unless the store takes no write/);
    expect(performance.now() - began).toBeGreaterThan(3_300);
    doubt.remove();
    expect((await lock("doubted")).out).toBe("token 3\n");
  });

  it("one that reads go back and forth on is mended, too", async () => {
    expect((await lock("flipping")).out).toBe("token 1\n");
    expect((await lock("flipping")).out).toBe("token 2\n");
    const flip = server.faults.add({ kind: "flip-reads", key: "app/locks/locks/flipping" });
    // What was shown may have been the older of the two: then the newer one is a change, and the next try sees that.
    let end = await run("repair", "flipping", "--yes");
    for (let again = 0; end.status === 75 && again < 3; again++) end = await run("repair", "flipping", "--yes");
    expect(end.status).toBe(0);
    flip.remove();
    expect((await lock("flipping")).out).toBe("token 4\n");
  });

  it("without a yes, and for whoever only looks, nothing is written", async () => {
    expect((await lock("asked")).status).toBe(0);
    const before = server.requests.all.length;
    for (const args of [
      ["repair", "asked"],
      ["accept-regression", "asked", "--token", "9"],
      ["force-unlock", "asked", "--token", "1"],
      ["stepdown", "asked"],
    ])
      expect((await run(...args)).status).not.toBe(0);
    expect(new Set(server.requests.all.slice(before).map(({ method }) => method))).toEqual(new Set(["GET"]));
  });
});
