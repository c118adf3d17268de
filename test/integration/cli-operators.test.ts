/** What operators do to others' leases, from outside, on a real MinIO. */
import { beforeAll, describe, expect, it } from "vitest";
import { faultProxy, type LoggedRequest } from "s3-consensus/testing";
import { type CliProcess, cliEnv, runCli, startCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { whenFinished } from "../support/finish.ts";
import { freeze } from "../support/freeze.ts";
import { type FreshBucket, freshBucket } from "../support/minio-client.ts";
import { until } from "../support/lock-party.ts";
import { type Program, spawnProgram } from "../support/programs.ts";
import { credentialsEnv, sharedMinio } from "../support/servers.ts";

let bucket: FreshBucket;
let env: Record<string, string | undefined>;

beforeAll(async () => {
  bucket = await freshBucket(sharedMinio());
  env = cliEnv(sharedMinio(), { S3_CONSENSUS_STORE: bucket.url("cli") });
});

const WORK = ["--", "sh", "-c", "echo working; exec sleep 60"];

describe.concurrent("force-unlock", () => {
  it("of a renewing holder: its command is ended, it says 76, and the lock is free", async () => {
    const holder = startCli(["lock", "renewing", "--ttl", "10s", ...WORK], { env });
    await holder.written(/working/);
    const freed = await runCli(["force-unlock", "renewing", "--token", "1", "--yes"], { env });
    expect(freed).toMatchObject({ status: 0, out: 'lock "renewing": released\n' });
    expect(freed.err).toMatch(/is held by .* since .*fencing token 1[^]*asked to stop/);
    expect((await holder.exit).status).toBe(76);
    expect((await runCli(["lock", "renewing", "--", "true"], { env })).status).toBe(0);
  });

  it("of a hung one: freed when its time is over", async () => {
    const holder = startCli(["lock", "hung", "--ttl", "10s", ...WORK], { env });
    await holder.written(/working/);
    freeze(holder.pid);
    expect((await runCli(["force-unlock", "hung", "--token", "1", "--yes"], { env })).status).toBe(0);
    holder.signal("SIGCONT");
    expect((await holder.exit).status).toBe(76);
  });

  it("--now says that two may run, and cuts at once; a wrong token touches nothing; without a terminal it wants --yes", async () => {
    const holder = startCli(["lock", "cut", "--ttl", "10s", ...WORK], { env });
    await holder.written(/working/);
    expect((await runCli(["force-unlock", "cut", "--token", "9", "--yes"], { env })).status).toBe(1);
    const unasked = await runCli(["force-unlock", "cut", "--token", "1"], { env });
    expect(unasked.status).toBe(64);
    expect(unasked.err).toMatch(/say --yes/);
    expect((await runCli(["status", "cut"], { env })).status).toBe(0);
    const cut = await runCli(["force-unlock", "cut", "--token", "1", "--now", "--yes"], { env });
    expect(cut.status).toBe(0);
    expect(cut.err).toMatch(/TWO MAY RUN/);
    expect((await holder.exit).status).toBe(76);
  });
});

describe.concurrent("force-unlock of a session's lock", () => {
  /** A process that holds them all through one session. */
  async function session(...keys: readonly string[]): Promise<Program> {
    const options = JSON.stringify({ node: "the-session", ttlMs: 10_000 });
    const program = spawnProgram("session-holder", {
      env: { ...credentialsEnv(sharedMinio()), STORE: env["S3_CONSENSUS_STORE"], OPTIONS: options },
    });
    await program.event("ready");
    for (const key of keys) await program.ask("acquire", { key });
    return program;
  }

  it("says what else hangs on it; that lock is freed when its holder has stopped, and the others are held on", async () => {
    const program = await session("gentle", "gentle-2", "gentle-3");
    const freed = await runCli(["force-unlock", "gentle", "--token", "1", "--yes", "--json"], { env });
    expect(freed.status).toBe(0);
    expect(freed.err).toMatch(
      /held by the-session[^]*session locks\/members\/\S+, which holds as well: lock "gentle-2", lock "gentle-3"\./,
    );
    expectShape("forceUnlock", JSON.parse(freed.out));
    expect(await program.event("ended")).toMatchObject({ key: "gentle", reason: "stepped-down" });
    expect(await program.ask("look")).toMatchObject({ over: false, held: ["gentle-2", "gentle-3"] });
    expect((await runCli(["lock", "gentle", "--", "true"], { env })).status).toBe(0);
  });

  it("--now ends the whole session, and says so first", async () => {
    const program = await session("cut-1", "cut-2");
    const cut = await runCli(["force-unlock", "cut-1", "--token", "1", "--now", "--yes"], { env });
    expect(cut.status).toBe(0);
    expect(cut.err).toMatch(/holds as well: lock "cut-2"[^]*TWO MAY RUN[^]*whole session is ended/);
    expect(await program.event("over")).toMatchObject({ code: "LEASE_LOST" });
    for (const key of ["cut-1", "cut-2"]) expect((await runCli(["lock", key, "--", "true"], { env })).status).toBe(0);
  });

  it("of a hung one (SIGSTOP): freed when its time is over, with all that it held; when it wakes it touches nothing", async () => {
    const program = await session("stopped-1", "stopped-2");
    program.freeze();
    expect((await runCli(["force-unlock", "stopped-1", "--token", "1", "--yes"], { env })).status).toBe(0);
    const next = ["stopped-1", "stopped-2"].map((key) => startCli(["lock", key, ...WORK], { env }));
    for (const holder of next) await holder.written(/working/);
    program.thaw();
    expect(await program.event("over")).toMatchObject({ code: "LEASE_LOST" });
    for (const key of ["stopped-1", "stopped-2"]) expect(await program.ask("release", { key })).toBe("not-mine");
    const { out } = await runCli(["ls", "stopped", "--kind", "lock", "--json"], { env });
    expect(JSON.parse(out)).toMatchObject([
      { state: "held", fencingToken: 2 },
      { state: "held", fencingToken: 2 },
    ]);
  });
});

describe.concurrent("stepdown", () => {
  it("the leader stops its command and gives way; 1 where nobody leads", async () => {
    expect((await runCli(["stepdown", "chief", "--yes"], { env })).status).toBe(1);
    const leader = startCli(["elect", "chief", "--ttl", "10s", ...WORK], { env });
    await leader.written(/working/);
    expect((await runCli(["stepdown", "chief", "--yes"], { env })).status).toBe(0);
    expect((await leader.exit).status).toBe(76);
    expect((await runCli(["status", "chief"], { env })).status).toBe(1);
  });

  it("--to: the named one takes it, whoever else waits", async () => {
    const proxy = await faultProxy({ target: sharedMinio().endpoint });
    whenFinished(() => proxy.close());
    const own = { ...env, S3_CONSENSUS_STORE: proxy.url(bucket.bucket, "cli") };
    const elect = (node: string): CliProcess => startCli(["elect", "named", "--node", node, "--ttl", "10s", ...WORK], { env: own });
    const leader = elect("a");
    await leader.written(/working/);
    const others = ["b", "c", "d"].map(elect);
    // All of them are in the race when they have looked once: for the first time without a condition.
    const first = { method: "GET", key: /elections\/named$/, when: (r: LoggedRequest) => r.headers["if-none-match"] === undefined };
    await until(() => proxy.requests.list(first).length === 4, "they are in the race");
    expect(await runCli(["stepdown", "named", "--to", "c", "--yes"], { env })).toMatchObject({
      status: 0,
      err: expect.stringMatching(/led by a \(fencing token 1\).*, to c first/) as string,
    });
    expect((await leader.exit).status).toBe(76);
    await others[1]?.written(/working/);
    const { out } = await runCli(["status", "named", "--kind", "election", "--json"], { env });
    expect(JSON.parse(out)).toMatchObject([{ holder: "c", fencingToken: 2 }]);
  });

  it("--cooldown: the leader stays out that long, and not as long as it would by itself", async () => {
    const leader = startCli(["elect", "cooled", "--keep", "--ttl", "10s", ...WORK], { env });
    await leader.written(/working/);
    const askedAtMs = performance.now();
    const asked = await runCli(["stepdown", "cooled", "--cooldown", "20s", "--json", "--yes"], { env });
    expect(asked.err).toMatch(/to stay out for 20s/);
    expectShape("stepdown", JSON.parse(asked.out));
    await leader.written(/leadership is over; campaigning again/);
    await leader.written(/working[^]*working/);
    // Its own would be over after two thirds of its ttl.
    expect(performance.now() - askedAtMs).toBeGreaterThan(20_000);
  });
});
