/** How a process of the demo tells its parent what it believes. */
import process from "node:process";
import { systemClock } from "../../clock/system.ts";
import { sleep } from "../../clock/wait.ts";
import { type LeaseEndedError, LeaseLostError, messageOf } from "../../errors.ts";
import type { Lease } from "../../lease/held.ts";
import type { ObjectStore } from "../../store/object-store.ts";
import type { CandidateMessage, CandidateSettings } from "./messages.ts";

const STATUS_EVERY_MS = 100;
/** A renewal is told at once: should the process be stopped then, its parent knows how long it may have believed. */
const LOOK_EVERY_MS = 20;

/** What it was started with. */
export const settings: CandidateSettings = JSON.parse(process.argv[2] ?? "{}") as CandidateSettings;

function say(message: CandidateMessage): void {
  if (process.connected) process.send?.(message);
}

export function sayElected(lease: Lease): void {
  const atNs = process.hrtime.bigint();
  say({ kind: "elected", token: lease.fencingToken, fromNs: atNs - BigInt(Math.ceil(lease.heldForMs * 1e6)), atNs });
}

export function sayDemoted(token: number, reason: LeaseLostError | LeaseEndedError): void {
  const lost = reason instanceof LeaseLostError;
  say({ kind: "demoted", token, atNs: process.hrtime.bigint(), lost, reason: lost ? reason.message : reason.reason, word: reason.reason });
}

/** Runs the part, with a word about its state ten times a second, and leaves the process without anything that keeps it alive. */
export async function act(
  store: ObjectStore,
  look: () => { readonly held: Lease | undefined; readonly sees: string | undefined },
  part: () => Promise<void>,
): Promise<void> {
  // A parent that was killed leaves no orphan: the channel closes with it.
  process.on("disconnect", () => process.exit(1));
  let told = { atMs: 0, untilMs: 0 };
  const sayStatus = (always: boolean): void => {
    const { held, sees } = look();
    const leads = held === undefined || !held.isHeld() ? undefined : { token: held.fencingToken, remainingMs: held.remainingMs };
    const atNs = process.hrtime.bigint();
    const atMs = Number(atNs / 1_000_000n);
    const untilMs = atMs + (leads?.remainingMs ?? 0);
    const isDue = always || atMs >= told.atMs + STATUS_EVERY_MS || untilMs > told.untilMs + LOOK_EVERY_MS;
    if (!isDue) return;
    told = { atMs, untilMs };
    const { get = 0, put = 0 } = store.stats();
    say({ kind: "status", atNs, leads, sees, requests: { get, put } });
  };
  const over = new AbortController();
  const saying = (async () => {
    while (await sleep(systemClock, LOOK_EVERY_MS, { signal: over.signal })) sayStatus(false);
  })();
  try {
    await part();
  } catch (e) {
    say({ kind: "failed", message: messageOf(e) });
    process.exitCode = 1;
  } finally {
    over.abort();
    await saying;
    sayStatus(true);
    process.removeAllListeners("disconnect");
    if (process.connected) process.disconnect();
  }
}
