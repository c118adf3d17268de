/** Commands that look: right shapes, few requests, no write ever. On the embedded server, which counts. */
import { beforeAll, describe, expect, it } from "vitest";
import { Manager, s3Store } from "s3-consensus";
import { fakeS3, type FakeS3 } from "s3-consensus/testing";
import { Catalogue, leftMs } from "../../src/cli/view/catalogue.ts";
import { type CliExit, cliEnv, runCli, startCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { whenFinished } from "../support/finish.ts";

const CREDENTIALS = { accessKeyId: "look", secretAccessKey: "look" };
let server: FakeS3;
let env: Record<string, string | undefined>;
let url: string;

beforeAll(async () => {
  server = await fakeS3({ buckets: ["look"], credentials: CREDENTIALS });
  whenFinished(() => server.close());
  url = server.url("look", "app");
  process.env["AWS_ACCESS_KEY_ID"] = CREDENTIALS.accessKeyId;
  process.env["AWS_SECRET_ACCESS_KEY"] = CREDENTIALS.secretAccessKey;
  env = cliEnv(undefined, {
    S3_CONSENSUS_STORE: url,
    AWS_ACCESS_KEY_ID: "look",
    AWS_SECRET_ACCESS_KEY: "look",
    AWS_CONFIG_FILE: "/dev/null",
  });
  const manager = new Manager({ store: url, name: "billing", node: "n1", ttlMs: 600_000, metadata: { url: "http://x" } });
  await manager.campaign();
  await (await new Manager({ store: url, name: "gone", node: "n2" }).campaign()).release();
});

/** Runs it, and gives the requests that it made. */
async function counted(...args: string[]): Promise<CliExit & { readonly requests: string[] }> {
  const before = server.requests.all.length;
  const exit = await runCli(args, { env });
  return {
    ...exit,
    requests: server.requests.all.slice(before).map(({ method }) => method),
  };
}

describe("status", () => {
  it("NAME: one GET for each kind that the name may be of; 0 and who leads", async () => {
    const { status, out, requests } = await counted("status", "billing", "--kind", "election");
    expect({ status, requests }).toEqual({ status: 0, requests: ["GET"] });
    expect(out).toMatch(
      /^election "billing": led by n1 \(fencing token 1, version \d+\)\n {2}since .*\n {2}renewed .*\n {2}left .*\n {2}says {5}\{"url":"http:\/\/x"\}\n$/,
    );
  });

  it("NAME --json has the documented shape; 1 where nobody holds it", async () => {
    const led = await counted("status", "billing", "--json");
    expectShape("leases", JSON.parse(led.out));
    expect(led.requests).toEqual(["GET", "GET", "GET"]);
    expect(JSON.parse((await counted("status", "gone", "--json")).out)).toMatchObject([{ state: "free", fencingToken: 1 }]);
    expect((await counted("status", "gone")).status).toBe(1);
    expect((await counted("status", "never")).status).toBe(1);
  });

  it("without a name: one LIST and a GET a record", async () => {
    const { out, requests } = await counted("status", "--json");
    expectShape("overview", JSON.parse(out));
    expect(requests).toEqual(["GET", "GET", "GET"]);
  });
});

describe("ls, show, verify", () => {
  it("ls has a table for people and the documented shape for programs", async () => {
    const text = await counted("ls");
    expect(text.out.split("\n").map((line) => line.split(/ +/).slice(0, 4))).toEqual([
      ["KIND", "NAME", "HOLDER", "TOKEN"],
      ["election", "billing", "n1", "1"],
      ["election", "gone", "-", "1"],
      [""],
    ]);
    const json = JSON.parse((await counted("ls", "--json", "bil")).out) as object[];
    expectShape("leases", json);
    expect(json).toMatchObject([{ kind: "election", name: "billing", state: "held", fencingToken: 1 }]);
    expect(JSON.parse((await counted("ls", "--held", "--json", "--kind", "lock")).out)).toEqual([]);
  });

  it("show tells all fields, one GET, and one LIST for what was before; 1 where nothing is", async () => {
    const { status, out, requests } = await counted("show", "billing", "--kind", "election");
    expect({ status, requests }).toEqual({ status: 0, requests: ["GET", "GET"] });
    expect(out).toMatch(/^before {9}not known: the store does not list versions/m);
    expect((await counted("show", "billing", "--kind", "election", "--versions", "0")).requests).toEqual(["GET"]);
    expect(out).toMatch(/^fencingToken {3}1$/m);
    const json = JSON.parse((await counted("show", "billing", "--kind", "election", "--json")).out) as { record: { ttlMs: number } };
    expectShape("lease", json);
    expect(json.record.ttlMs).toBe(600_000);
    expect((await counted("show", "billing")).status).toBe(1);
  });

  it("verify: 0 under the token that holds, 76 under another, 64 outside of a command", async () => {
    const of = (token: string): string[] => ["verify", "billing", "--kind", "election", "--json", "--token", token];
    const held = await counted(...of("1"));
    expect({ status: held.status, requests: held.requests }).toEqual({ status: 0, requests: ["GET"] });
    expectShape("verify", JSON.parse(held.out));
    const lost = await counted(...of("7"));
    expect(lost.status).toBe(76);
    expectShape("verify", JSON.parse(lost.out));
    expect((await counted("verify")).status).toBe(64);
  });
});

describe("watch", () => {
  it("in a pipe: one JSON line a change, and it ends orderly at a signal", async () => {
    const watching = startCli(["watch", "--interval", "200ms"], { env });
    await watching.written(/"gone".*\n/);
    const more = new Manager({ store: url, name: "later", node: "n3" });
    const term = await more.campaign();
    await watching.written(/"event":"seen","kind":"election","name":"later"/);
    await term.release();
    await watching.written(/"event":"changed","kind":"election","name":"later"[^\n]*"state":"free"/);
    watching.signal("SIGINT");
    const { status, out } = await watching.exit;
    expect(status).toBe(130);
    for (const line of out.trim().split("\n")) expectShape("lease", JSON.parse(line));
  });

  it("looks by one LIST, and by a GET only at what has changed", async () => {
    const store = s3Store(url);
    const catalogue = new Catalogue(store, "locks/");
    const of = (): number[] => [store.stats()["list"] ?? 0, store.stats()["get"] ?? 0];
    const start = of();
    const views = await catalogue.scan({ kind: "election" });
    expect(of()).toEqual([(start[0] ?? 0) + 1, (start[1] ?? 0) + views.length]);
    await catalogue.scan({ kind: "election" });
    expect(of()).toEqual([(start[0] ?? 0) + 2, (start[1] ?? 0) + views.length]);
    expect(leftMs(views[0] ?? expect.fail("nothing was seen"))).toBeGreaterThan(0);
  });
});

describe("an empty name, as a shell makes of a variable that is not set", () => {
  it.each(["status", "show", "verify --token 1", "stepdown --yes", "force-unlock --token 1 --yes"])(
    "is wrong use for %s",
    async (words) => {
      const [command = "", ...options] = words.split(" ");
      const { status, out, err } = await runCli([command, "", ...options], { env });
      expect({ status, out }).toEqual({ status: 64, out: "" });
      expect(err).toContain("it is empty");
    },
  );
});

describe("readers", () => {
  it.each(["ls", "status", "status billing", "show billing", "verify gone --kind election --token 1"])("%s never writes", async (args) => {
    expect(new Set((await counted(...args.split(" "))).requests)).toEqual(new Set(["GET"]));
  });

  it.each([
    [{ AWS_ACCESS_KEY_ID: "wrong" }, 77],
    [{ S3_CONSENSUS_STORE: "s3://nowhere?endpoint=http://127.0.0.1:1" }, 69],
    [{ S3_CONSENSUS_STORE: "nonsense" }, 64],
    [{ S3_CONSENSUS_STORE: undefined }, 64],
  ])("%j ends with %d and says why", async (more, status) => {
    const end = await runCli(["ls"], { env: { ...env, ...more } });
    expect({ status: end.status, out: end.out }).toEqual({ status, out: "" });
    expect(end.err).toMatch(/^s3-consensus: error: ./);
  });
});
