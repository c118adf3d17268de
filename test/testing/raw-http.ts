/** One request on a connection of its own, so that no client, pool or retry stands between a test and the wire. */
import { request } from "node:http";
import { buffer } from "node:stream/consumers";

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
  readonly etag: string;
  /** The S3 error code, where the body has one. */
  readonly code: string | undefined;
}

export interface RawRequest {
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | Buffer | undefined;
  /** Gives up, by breaking the connection. Default 10 s. */
  readonly timeoutMs?: number | undefined;
}

/** Rejects when there was no whole answer: reset, cut, or given up. */
export function raw(
  endpoint: string,
  method: string,
  path: string,
  { headers, body, timeoutMs = 10_000 }: RawRequest = {},
): Promise<RawAnswer> {
  const { hostname, port } = new URL(endpoint);
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, method, path, agent: false, headers }, (incoming) => {
      buffer(incoming).then((whole) => {
        const text = whole.toString();
        const given = incoming.headers as Record<string, string | undefined>;
        const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1];
        resolve({ status: incoming.statusCode ?? 0, headers: given, text, etag: given["etag"] ?? "", code });
      }, reject);
    });
    outgoing.setTimeout(timeoutMs, () => outgoing.destroy(new Error("given up")));
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** Waits until it is so; rejects after 10 s. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`it did not come to be within 10 s: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
