/** Reading the body of an answer, on every runtime's kind of stream, never further than it may go. */

export interface BodyRead {
  readonly bytes: Uint8Array;
  /** `too-large`: there was more than the limit; the rest was not read. `broken`: the stream failed. */
  readonly end: "whole" | "too-large" | "broken";
}

export async function readBody(body: unknown, maxBytes: number): Promise<BodyRead> {
  if (body === undefined || body === null) return { bytes: new Uint8Array(), end: "whole" };
  if (body instanceof Uint8Array)
    return body.byteLength > maxBytes ? { bytes: new Uint8Array(), end: "too-large" } : { bytes: body, end: "whole" };
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of chunksOf(body)) {
      size += chunk.byteLength;
      if (size > maxBytes) {
        destroyBody(body);
        return { bytes: new Uint8Array(), end: "too-large" };
      }
      chunks.push(chunk);
    }
    return { bytes: joined(chunks), end: "whole" };
  } catch {
    return { bytes: joined(chunks), end: "broken" };
  }
}

/** Ends a body that nobody will read, and its socket with it. */
export function destroyBody(body: unknown): void {
  if (typeof body !== "object" || body === null) return;
  const stream = body as {
    destroy?: () => void;
    on?: (event: string, listener: () => void) => void;
    cancel?: () => Promise<void>;
    locked?: boolean;
  };
  if (typeof stream.destroy === "function") {
    stream.on?.("error", () => {});
    stream.destroy();
  } else if (typeof stream.cancel === "function" && stream.locked !== true) {
    stream.cancel().catch(() => {});
  }
}

interface Reader {
  read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array }>;
  cancel(): Promise<void>;
}

async function* chunksOf(body: unknown): AsyncGenerator<Uint8Array> {
  const stream = body as Partial<AsyncIterable<Uint8Array | string>> & {
    getReader?: () => Reader;
    arrayBuffer?: () => Promise<ArrayBuffer>;
  };
  if (typeof stream[Symbol.asyncIterator] === "function") {
    for await (const chunk of stream as AsyncIterable<Uint8Array | string>)
      yield typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
  } else if (typeof stream.getReader === "function") {
    const reader = stream.getReader();
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) if (next.value !== undefined) yield next.value;
    } finally {
      await reader.cancel().catch(() => {});
    }
  } else if (typeof stream.arrayBuffer === "function") {
    yield new Uint8Array(await stream.arrayBuffer());
  } else {
    throw new TypeError("the answer's body is no stream that this runtime can read");
  }
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  if (chunks.length === 1 && chunks[0] !== undefined) return chunks[0];
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}
