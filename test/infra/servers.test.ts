import { describe, expect, it } from "vitest";
import { sharedServers, startGofakes3, startMinio } from "../support/servers.ts";
import { minioClient } from "../support/minio-client.ts";

describe("servers that the tests share", () => {
  it.each(sharedServers())("$name answers on loopback and keeps an object", async (server) => {
    expect(new URL(server.endpoint).hostname).toBe("127.0.0.1");
    const outside = minioClient(server);
    await outside.makeBucket("servers-test");
    const etag = await outside.put("servers-test", "a key/ü", "body");
    expect(await outside.peek("servers-test", "a key/ü")).toMatchObject({ body: "body", etag });
    expect(await outside.list("servers-test")).toEqual(["a key/ü"]);
    await outside.remove("servers-test", "a key/ü");
    expect(await outside.peek("servers-test", "a key/ü")).toBeUndefined();
  });
});

describe("servers of one's own", () => {
  it.each([1, 4] as const)("MinIO on %i drive(s) comes back with its data after kill -9", async (drives) => {
    const server = await startMinio({ drives });
    const outside = minioClient(server);
    await outside.makeBucket("kept");
    await outside.put("kept", "key", "acknowledged");
    const before = server.pid;
    await server.kill();
    expect(() => process.kill(before, 0)).toThrow("ESRCH");
    await server.restart();
    expect(server.pid).not.toBe(before);
    expect(await outside.peek("kept", "key")).toMatchObject({ body: "acknowledged" });
  });

  it("a frozen MinIO answers nothing until it is thawed", async () => {
    const server = await startMinio();
    server.freeze();
    await expect(fetch(`${server.endpoint}/minio/health/ready`, { signal: AbortSignal.timeout(500) })).rejects.toThrow(
      "aborted due to timeout",
    );
    server.thaw();
    expect((await fetch(`${server.endpoint}/minio/health/ready`)).status).toBe(200);
  });

  it("gofakes3 starts and stops", async () => {
    const server = await startGofakes3();
    await minioClient(server).makeBucket("own");
    await server.stop();
    await expect(fetch(server.endpoint)).rejects.toThrow("fetch failed");
  });
});
