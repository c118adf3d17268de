/**
 * One call of a function in a process that lives for nothing else: it tries one lock for itself, works, and ends by itself. It may be told to die in
 * the middle.
 *
 * STORE: the store's URL; KEY: the lock; LIMIT_MS: its time limit; CRASH: die in the middle of the work; SIGN_MS: what to add to the clock for signatures, which a server refuses
 * where they are off by more than 15 minutes.
 */
import process from "node:process";
import { S3Client } from "@aws-sdk/client-s3";
import { Locks, s3Store, type Store } from "s3-consensus";
import { emit } from "../support/emit.ts";
import { describe } from "./lines.ts";

const { STORE: url = "", KEY: key = "", LIMIT_MS: limitMs = "8000", CRASH: crash, SIGN_MS: signMs } = process.env;
const store = signMs === undefined ? url : withOffset(Number(signMs));
const context = { getRemainingTimeInMillis: () => Number(limitMs) - process.uptime() * 1_000 };
try {
  const attempt = await new Locks({ store }).oneShot(context).tryWithLock(key, async (lock) => {
    emit("begin", { token: lock.fencingToken });
    if (crash !== undefined) process.kill(process.pid, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 5));
    lock.assertHeld();
    emit("end", { token: lock.fencingToken });
    return lock.fencingToken;
  });
  emit("answer", attempt.ran ? { token: attempt.value } : { held: attempt.held.message });
} catch (e) {
  emit("answer", { error: describe(e) });
}

function withOffset(systemClockOffset: number): Store {
  const { host, pathname, searchParams } = new URL(url);
  const endpoint = searchParams.get("endpoint") ?? "";
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, systemClockOffset });
  return s3Store({ bucket: host, prefix: pathname.slice(1), client });
}
