/** Everything that a store has to pass that this package is said to work on. */
import { beforeAll, describe, expect, it } from "vitest";
import { fullProbe } from "../../src/store/full-probe.ts";
import type { ObjectStore } from "../../src/store/object-store.ts";
import { faultProxy, type FaultProxy } from "../../src/testing/fault-proxy.ts";
import { type ContractOptions, type Reachable, storeContract } from "../store/contract.ts";
import { useCredentials } from "../store/credentials.ts";
import { reach } from "../store/reach.ts";
import { whenFinished } from "../support/finish.ts";
import { freshBucket, type FreshBucket } from "../support/minio-client.ts";
import type { S3Server } from "../support/servers.ts";
import { type Answers, answersOf, keepVersions } from "./answers.ts";
import { mainPath } from "./main-path.ts";
import { note } from "./report.ts";

export interface GoodStoreOptions extends Omit<ContractOptions, "doors" | "behind"> {
  readonly version: string | (() => string);
  /** One server for each front door; all lead to the same objects. A single one is given two doors by two proxies. */
  readonly start: () => Promise<readonly S3Server[]>;
  /** How it wants its ETags in `If-Match`, which the probe has to find out. Default: quoted. */
  readonly quoting?: "quoted" | "unquoted" | undefined;
  /** What it answers to the requests that stores differ in. */
  readonly answers: Answers | object;
  /** The contract once more, in a bucket that keeps versions. */
  readonly versioned?: boolean | undefined;
}

export function goodStore(name: string, options: GoodStoreOptions): void {
  let servers: readonly S3Server[] = [];
  let plain: FreshBucket;
  let versioned: FreshBucket | undefined;
  const proxies: FaultProxy[] = [];
  const server = (): S3Server => {
    const [first] = servers;
    if (first === undefined) throw new Error(`${name} was not started`);
    return first;
  };

  beforeAll(async () => {
    servers = await options.start();
    useCredentials(server());
    plain = await freshBucket(server());
    if (options.versioned === true) {
      versioned = await freshBucket(server());
      await keepVersions(server(), versioned.bucket);
    }
    for (let i = 0; i < 2; i++) {
      const proxy = await faultProxy({ target: servers[i % servers.length]?.endpoint ?? "" });
      whenFinished(() => proxy.close());
      proxies.push(proxy);
    }
  });

  const inBucket = (bucket: () => FreshBucket | undefined): ContractOptions & { readonly behind: () => Reachable } => {
    const behind = (): Reachable => reach(server(), bucket()?.bucket ?? "", "deep/prefix");
    // Two ways with a client each, and through each of two proxies.
    const doors = (): ObjectStore[] => [...servers, ...proxies].map(({ endpoint }) => behind().open({ endpoint }));
    return { ...options, behind, doors };
  };
  const contract = (title: string, of: ContractOptions & { readonly behind: () => Reachable }): void => {
    let store: ObjectStore | undefined;
    beforeAll(async () => {
      store = of.behind().open();
      // As before every first write: this finds out how the store wants its ETags.
      await store.ensureSafe();
    });
    storeContract(title, () => store ?? of.behind().open(), of);
  };
  contract(
    name,
    inBucket(() => plain),
  );
  if (options.versioned === true)
    contract(
      `${name}, a bucket that keeps versions`,
      inBucket(() => versioned),
    );

  describe(`beyond the contract: ${name}`, () => {
    it("passes the full probe, and answers as it is known to", async () => {
      const store = reach(server(), plain.bucket, "probed").open();
      const startMs = performance.now();
      const quick = await store.ensureSafe();
      const quickMs = performance.now() - startMs;
      const requests = requestsOf(store);
      const { quoting, storeTime, remarks } = await fullProbe(store);
      expect(quoting).toBe(options.quoting ?? "quoted");
      const answers = await answersOf(server());
      expect(answers).toMatchObject(options.answers);
      note({
        store: name,
        version: typeof options.version === "string" ? options.version : options.version(),
        verdict: "good",
        showed: [
          `quick probe ${requests} requests in ${(quickMs / 1000).toFixed(1)} s, full probe ${requestsOf(store) - requests}`,
          `ETags ${quoting}`,
          `store time ${storeTime ? "fit" : "unfit"}`,
          ...[...new Set([...quick.remarks, ...remarks])],
          JSON.stringify(answers).replaceAll('"', ""),
        ].join("; "),
      });
    });
  });

  mainPath(name, { server });
}

function requestsOf(store: ObjectStore): number {
  const { get = 0, put = 0, list = 0, delete: removed = 0 } = store.stats();
  return get + put + list + removed;
}
