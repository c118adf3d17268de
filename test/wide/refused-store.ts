/** A store that this package must never work on: the probe says so, and at which step. */
import { beforeAll, describe, expect, it } from "vitest";
import { Manager } from "../../src/election/manager.ts";
import { fullProbe } from "../../src/store/full-probe.ts";
import { useCredentials } from "../store/credentials.ts";
import { reach } from "../store/reach.ts";
import { freshBucket } from "../support/minio-client.ts";
import type { S3Server } from "../support/servers.ts";
import { keepVersions } from "./answers.ts";
import { note } from "./report.ts";

export interface RefusedStoreOptions {
  readonly version: string | (() => string);
  readonly start: () => Promise<S3Server>;
  /** The steps that may show it. */
  readonly step: RegExp;
  /** Only a race shows it: the quick probe, at the start of a process, may miss it at times; its rate is measured and noted. Default: false. */
  readonly onlyRaces?: boolean | undefined;
  readonly versioned?: boolean | undefined;
}

const FULL_RUNS = 3;
const RUNS = 10;

export function refusedStore(name: string, { version, start, step, onlyRaces = false, versioned = false }: RefusedStoreOptions): void {
  describe(`refused: ${name}`, () => {
    let server: S3Server;
    let caughtByFull = 0;
    beforeAll(async () => {
      server = await start();
      useCredentials(server);
    });

    const bucket = async (): Promise<string> => {
      const { bucket: made } = await freshBucket(server);
      if (versioned) await keepVersions(server, made);
      return made;
    };

    it("is found unsafe by the full probe, every time", async () => {
      const made = await bucket();
      for (let i = 0; i < FULL_RUNS; i++) {
        const store = reach(server, made, `full-${i}`).open();
        await expect(fullProbe(store, { save: true })).rejects.toMatchObject({
          code: "STORE_UNSAFE",
          step: expect.stringMatching(step) as string,
          message: expect.stringContaining("docs/stores.md") as string,
        });
        caughtByFull++;
      }
    });

    it(`is found by the quick probe: measured over ${RUNS} starts`, async () => {
      const steps: string[] = [];
      for (let i = 0; i < RUNS; i++) {
        // A bucket of its own each time, so that no verdict of an earlier start speaks for it.
        const store = reach(server, await bucket(), "quick").open();
        const found = await store.ensureSafe().then(
          () => "missed",
          (error: unknown) => {
            expect(error).toMatchObject({ code: "STORE_UNSAFE", step: expect.stringMatching(step) as string });
            return (error as { step: string }).step;
          },
        );
        steps.push(found);
      }
      const caught = steps.filter((found) => found !== "missed").length;
      const byStep = [...new Set(steps)].sort().map((found) => `${found} ${steps.filter((s) => s === found).length}`);
      note({
        store: name,
        version: typeof version === "string" ? version : version(),
        verdict: "refused",
        showed: `full probe ${caughtByFull} of ${FULL_RUNS}; quick probe ${caught} of ${RUNS} (${byStep.join(", ")})`,
      });
      // Of ten that find it with a chance of a half, none is one run in a thousand.
      if (onlyRaces) expect(caught).toBeGreaterThan(0);
      else expect(caught).toBe(RUNS);
    });

    it("leads nobody once a full probe has seen it", async () => {
      const made = await bucket();
      const open = (): ReturnType<ReturnType<typeof reach>["open"]> => reach(server, made, "led").open();
      await expect(fullProbe(open(), { save: true })).rejects.toMatchObject({ code: "STORE_UNSAFE" });
      // Also where only races show it: what a full probe has seen is kept.
      for (let i = 0; i < RUNS; i++) {
        const term = new Manager({ store: open(), name: "nobody" }).campaign({ waitMs: 0 });
        await expect(term).rejects.toMatchObject({ code: "STORE_UNSAFE" });
      }
    });
  });
}
