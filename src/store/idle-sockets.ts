/**
 * Own connection pools, whose sockets are not trusted after a rest. A socket kept alive over a freeze of the machine, or longer than the server
 * cares to wait, takes the next PUT down with it: a reset, hence an unknown write. So free sockets are dropped before a request once they idled
 * for 4 s, or once the two clocks went apart by 5 s since (a suspended machine, whose monotonic clock may have stood still).
 */
import type { Agent as HttpAgent } from "node:http";
import type { Agent as HttpsAgent } from "node:https";
import type { Duplex } from "node:stream";
import type { Clock } from "../clock/clock.ts";
import { clockGapMs, readClocks, type Instant } from "../clock/deadline.ts";

export const MAX_IDLE_MS = 4_000;
export const MAX_CLOCK_GAP_MS = 5_000;
const MAX_SOCKETS = 64;

export interface Pools {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
  /** Destroys the free sockets that idled too long or over a jump of the clocks. Returns how many. */
  dropStale(): number;
}

/** `undefined` on a runtime without Node's HTTP client, where the SDK brings its own transport. */
export async function openPools(clock: Clock): Promise<Pools | undefined> {
  try {
    const [http, https] = await Promise.all([import("node:http"), import("node:https")]);
    const options = { keepAlive: true, maxSockets: MAX_SOCKETS, scheduling: "lifo" } as const;
    const httpAgent = new http.Agent(options);
    const httpsAgent = new https.Agent(options);
    const watches = [watch(httpAgent, clock), watch(httpsAgent, clock)];
    return { httpAgent, httpsAgent, dropStale: () => watches.reduce((sum, drop) => sum + drop(), 0) };
  } catch {
    return undefined;
  }
}

function watch(agent: HttpAgent, clock: Clock): () => number {
  const freeSince = new WeakMap<Duplex, Instant>();
  // Node calls this documented hook whenever a socket is handed back to be kept.
  const keep = agent.keepSocketAlive.bind(agent);
  agent.keepSocketAlive = (socket: Duplex): void => {
    freeSince.set(socket, readClocks(clock));
    // Node's types say void; Node itself keeps the socket only on true.
    return keep(socket);
  };
  return () => {
    const now = readClocks(clock);
    let dropped = 0;
    for (const sockets of Object.values(agent.freeSockets)) {
      for (const socket of sockets ?? []) {
        if (!isStale(freeSince.get(socket), now)) continue;
        socket.destroy();
        dropped++;
      }
    }
    return dropped;
  };
}

/** Idle too long on either clock, or idle while the clocks went apart. */
export function isStale(since: Instant | undefined, now: Instant): boolean {
  if (since === undefined) return false;
  return now.monotonicMs - since.monotonicMs > MAX_IDLE_MS || Math.abs(clockGapMs(since, now)) > MAX_CLOCK_GAP_MS;
}
