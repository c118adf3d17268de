/**
 * The complete example: any number of workers run, one of them works, and when it goes another takes over. Copy `worker`, and put your own work
 * in the place of `ledger.write`.
 *
 *   npx vitest run example_test.ts                                                      on an S3 server inside this test
 *   S3_CONSENSUS_STORE='s3://bucket/prefix?region=eu-central-1' npx vitest run example_test.ts    on a real one
 *
 * Credentials come from the AWS SDK's own chain, as always: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, a role.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Manager } from "s3-consensus";
import { fakeS3 } from "s3-consensus/testing";
import { expect, test, vi } from "vitest";

/** One worker. In a program of yours, `stop` is `shutdownSignal()` of "s3-consensus/node", and this is all there is. */
async function worker(name: string, store: string, stop: AbortSignal): Promise<void> {
  // A short ttl, because a test should be. The default is 15 seconds: 720 small writes an hour for the leader.
  const manager = new Manager({ store, name: "example", node: name, ttlMs: 5_000, pollMs: 500, metadata: { url: `http://${name}:8080` } });

  await manager.run(
    {
      // Elected: work until the signal says stop. Asked to stop, the key is freed only after this has returned.
      onElected: async (term) => {
        console.log(`${name}: elected, fencing token ${term.fencingToken}`);
        while (!term.signal.aborted) {
          // Whatever you write to should refuse a token older than one it has seen: no lease can protect it from a process that is
          // stopped between "am I still the leader?" and the write.
          ledger.write(name, term.fencingToken);
          await sleep(50);
        }
      },
      // Once for each term: after the work above has ended, or at once when leadership was lost.
      onDemoted: ({ term, reason }) => console.log(`${name}: demoted after ${Math.round(term.heldForMs)} ms: ${reason.message}`),
      // Every worker hears who leads, and what the leader has published about itself.
      onLeaderChange: ({ leader }) => console.log(`${name}: current leader is ${leader?.holder ?? "nobody"}`, leader?.metadata ?? ""),
    },
    // Aborting it stops the work, waits for it, frees the key for the next one, and lets `run` return.
    { signal: stop },
  );
  console.log(`${name}: stopped`);
}

/** Stands for your database. `update … where fence <= $token` is the same in SQL. */
const ledger = {
  entries: [] as { readonly by: string; readonly token: number }[],
  write(by: string, token: number): void {
    const newest = this.entries.at(-1)?.token ?? 0;
    if (token < newest) throw new Error(`${by} came with token ${token}, and ${newest} has written already`);
    this.entries.push({ by, token });
  },
};

test("one of two workers works; when it stops, the other takes over with a higher fencing token", async () => {
  const store = process.env["S3_CONSENSUS_STORE"] ?? (await embeddedStore());
  const workers = ["anna", "bert"].map((name) => {
    const stop = new AbortController();
    return { name, stop, done: worker(name, store, stop.signal) };
  });
  const soon = { timeout: 20_000, interval: 50 };
  // A wrong bucket or a missing permission ends a worker at once, with an error that says what to change.
  const ended = Promise.all(workers.map((w) => w.done));

  // One of them, and only one, gets to work.
  await Promise.race([ended, vi.waitFor(() => expect(ledger.entries.length).toBeGreaterThan(5), soon)]);
  const [first] = ledger.entries;
  expect(ledger.entries.every((entry) => entry.by === first?.by)).toBe(true);

  // Anybody may ask who leads, by one GET; asking never writes.
  const leader = await new Manager({ store, name: "example" }).leader();
  expect(leader).toMatchObject({ holder: first?.by, fencingToken: first?.token, metadata: { url: `http://${first?.by}:8080` } });

  // It is told to stop (a deployment, Ctrl-C): the other follows at its next look, without waiting for the ttl.
  const leaving = workers.find((w) => w.name === first?.by);
  leaving?.stop.abort();
  await leaving?.done;
  await vi.waitFor(() => expect(ledger.entries.at(-1)?.by).not.toBe(first?.by), soon);
  expect(ledger.entries.at(-1)?.token).toBe((first?.token ?? 0) + 1);

  for (const { stop } of workers) stop.abort();
  await ended;
});

/** An S3 server in this process, for programs that want no account and no network. It takes any credentials. */
async function embeddedStore(): Promise<string> {
  const server = await fakeS3();
  process.env["AWS_ACCESS_KEY_ID"] ??= "any";
  process.env["AWS_SECRET_ACCESS_KEY"] ??= "any";
  return server.url();
}
