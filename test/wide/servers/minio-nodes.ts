/** One MinIO of two nodes with two drives each: four drives in one erasure set, and an endpoint of its own for each node. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { inject } from "vitest";
import { freePort } from "../../support/ports.ts";
import { temporaryFolder } from "../../support/reaper.ts";
import { cleanedUp, MINIO_ENV, type OwnServer, processBody, started } from "../../support/servers.ts";

const DRIVES = 2;

export async function startMinioNodes(): Promise<[OwnServer, OwnServer]> {
  const runner = inject("minioRunner");
  if (runner?.kind !== "binary") throw new Error("Two nodes of MinIO need the program itself: Go, or a minio on PATH");
  const dir = temporaryFolder("minio-nodes");
  const ports = [await freePort(), await freePort()] as const;
  const drives = ports.flatMap((port, n) =>
    Array.from({ length: DRIVES }, (_, d) => {
      const folder = join(dir, `node${n + 1}`, `drive${d + 1}`);
      mkdirSync(folder, { recursive: true });
      return `http://127.0.0.1:${port}${folder}`;
    }),
  );
  const start = (port: number, node: number): Promise<OwnServer> => {
    const body = processBody(runner.path, ["server", "--quiet", "--address", `127.0.0.1:${port}`, ...drives], {
      ...MINIO_ENV,
      // In a container it takes no address of the loopback for its own unless told so.
      _MINIO_SERVER_LOCAL: `127.0.0.1:${port}`,
    });
    return started({ name: "minio-nodes", port, dir: join(dir, `node${node}`), body, readyPath: "/minio/health/cluster" });
  };
  // Each waits for the other.
  const [first, second] = await Promise.all([start(ports[0], 1), start(ports[1], 2)]);
  return [cleanedUp(first, true), cleanedUp(second, true)];
}
