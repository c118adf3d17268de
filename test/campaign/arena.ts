/** Everything that a campaign works on: a server, holders behind their proxies, a fenced resource, and what they have said so far. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { type FaultProxy, faultProxy } from "../../src/testing/index.ts";
import { minioClient, type OutsideClient } from "../support/minio-client.ts";
import type { S3Server } from "../support/servers.ts";
import { type FencedResource, fencedResource } from "./fenced-resource.ts";
import { type Election, HolderProcess } from "./holder-process.ts";
import { Ledger } from "./ledger.ts";
import { LOCKS, RECORDS, Tap } from "./tap.ts";

export interface ArenaOptions {
  readonly server: Pick<S3Server, "endpoint" | "region" | "accessKeyId" | "secretAccessKey">;
  readonly bucket: string;
  readonly nodes: number;
  readonly elections: readonly Election[];
  readonly program: string;
  readonly seed: number;
  /** Default true. */
  readonly probe?: boolean;
}

export class Arena {
  readonly options: ArenaOptions;
  readonly ledger = new Ledger();
  readonly tap = new Tap();
  readonly resource: FencedResource;
  readonly outside: OutsideClient;
  readonly holders: readonly HolderProcess[];
  /** Processes that a fault killed: they owe no "released". */
  readonly killed = new Set<number>();
  readonly leaks: string[] = [];
  readonly proxies: readonly FaultProxy[];

  private constructor(options: ArenaOptions, resource: FencedResource, proxies: readonly FaultProxy[], tap: Tap) {
    this.options = options;
    this.resource = resource;
    this.proxies = proxies;
    this.tap = tap;
    const { server } = options;
    this.outside = minioClient(server);
    this.holders = proxies.map(
      (proxy, i) =>
        new HolderProcess({
          node: `node-${i + 1}`,
          proxy,
          storeUrl: `s3://${options.bucket}?endpoint=${proxy.endpoint}&region=${server.region}${options.probe === false ? "&probe=false" : ""}`,
          elections: options.elections,
          resource: resource.url,
          ledger: this.ledger,
          program: options.program,
          env: credentials(server),
        }),
    );
  }

  static async open(options: ArenaOptions): Promise<Arena> {
    const tap = new Tap();
    const resource = await fencedResource();
    const proxies: FaultProxy[] = [];
    for (let i = 0; i < options.nodes; i++)
      proxies.push(
        await faultProxy({ target: options.server.endpoint, seed: options.seed + i, logLimit: 1000, onForward: tap.for(`node-${i + 1}`) }),
      );
    return new Arena(options, resource, proxies, tap);
  }

  get keys(): readonly string[] {
    return this.options.elections.map((election) => keyOf(election));
  }

  get requests(): number {
    return this.proxies.reduce((sum, proxy) => sum + proxy.requests.total, 0);
  }

  get holderHours(): number {
    return this.holders.reduce((sum, holder) => sum + holder.livedMs, 0) / 3_600_000;
  }

  election(key: string): Election {
    const found = this.options.elections.find((election) => keyOf(election) === key);
    if (found === undefined) throw new Error(`no election has the key ${key}`);
    return found;
  }

  /** The holder that leads, as far as anybody has said. */
  leaderOf(key: string): HolderProcess | undefined {
    const leader = this.ledger.leaderOf(key);
    return leader === undefined ? undefined : this.holders.find((holder) => holder.pid === leader.pid && holder.alive);
  }

  async kill(holder: HolderProcess): Promise<void> {
    this.killed.add(holder.pid);
    await holder.kill();
  }

  /** Asks it to stop, as an operator would; a process that does not end is a leak. */
  async stop(holder: HolderProcess): Promise<void> {
    const { pid } = holder;
    const leak = await holder.stop();
    if (leak === undefined) return;
    this.leaks.push(leak);
    this.killed.add(pid);
  }

  /** Every fault that lasts is taken back. What a request has suffered, it has suffered. */
  calm(): void {
    for (const proxy of this.proxies) proxy.faults.clear();
    for (const holder of this.holders) {
      if (holder.frozen) holder.thaw();
      if (!holder.alive) holder.start();
    }
  }

  async close(): Promise<void> {
    for (const proxy of this.proxies) proxy.faults.clear();
    for (const holder of this.holders) if (holder.frozen) holder.thaw();
    await Promise.all(this.holders.filter((holder) => holder.alive).map((holder) => this.stop(holder)));
    await Promise.all(this.proxies.map((proxy) => proxy.close()));
    await this.resource.close();
  }
}

export function keyOf(election: Election): string {
  return `${(election.face ?? "election") === "election" ? RECORDS : LOCKS}${election.name}`;
}

function credentials(server: ArenaOptions["server"]): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
    AWS_REGION: server.region,
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
  };
}

export function pass(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, Math.max(0, ms)));
}

/** Waits until it is so. @returns how long it took, or `undefined` when it did not come to be. */
export async function until(condition: () => boolean, withinMs: number): Promise<number | undefined> {
  const startedMs = performance.now();
  while (!condition()) {
    if (performance.now() - startedMs > withinMs) return undefined;
    await pass(10);
  }
  return performance.now() - startedMs;
}

/** Where a campaign leaves what it made. */
export function outputFolder(name: string): string {
  const folder = join(process.cwd(), ".cache/campaign", name);
  mkdirSync(folder, { recursive: true });
  return folder;
}
