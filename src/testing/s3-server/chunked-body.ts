/** The bodies that SDKs send in pieces ("aws-chunked"), with a checksum behind them, and the checksums of all bodies. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { WireRequest } from "./wire.ts";

export interface Chunk {
  readonly data: Buffer;
  readonly signature: string | undefined;
}

export interface DecodedBody {
  readonly body: Buffer;
  /** Empty for a body that came in one piece. The last chunk has no data. */
  readonly chunks: readonly Chunk[];
  /** In lower case. */
  readonly trailers: Readonly<Record<string, string>>;
}

/** The body is not what its headers say. */
export class BadBodyError extends Error {
  override readonly name = "BadBodyError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Takes the body out of its pieces and holds it against every checksum that came with it. */
export function decodeBody(request: WireRequest): DecodedBody {
  const isChunked =
    (request.headers["x-amz-content-sha256"] ?? "").startsWith("STREAMING-") ||
    /\baws-chunked\b/.test(request.headers["content-encoding"] ?? "");
  const decoded = isChunked ? unchunk(request.body) : { body: request.body, chunks: [], trailers: {} };
  checkLength(request, decoded.body);
  checkDigests({ ...request.headers, ...decoded.trailers }, decoded.body);
  return decoded;
}

function unchunk(raw: Buffer): DecodedBody {
  const chunks: Chunk[] = [];
  let at = 0;
  for (;;) {
    const line = lineAt(raw, at);
    const [, hex = "", signature] = /^([0-9a-f]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?$/i.exec(line) ?? [];
    if (hex === "") throw new BadBodyError("InvalidRequest", `bad chunk header ${JSON.stringify(line.slice(0, 100))}`);
    const size = Number.parseInt(hex, 16);
    at += line.length + 2;
    if (at + size > raw.length) throw new BadBodyError("IncompleteBody", "The request body terminated unexpectedly");
    chunks.push({ data: raw.subarray(at, at + size), signature });
    at += size;
    if (size === 0) break;
    if (raw[at] !== 0x0d || raw[at + 1] !== 0x0a) throw new BadBodyError("InvalidRequest", "a chunk does not end where it says");
    at += 2;
  }
  return { body: Buffer.concat(chunks.map((chunk) => chunk.data)), chunks, trailers: trailersOf(raw.subarray(at)) };
}

function lineAt(raw: Buffer, at: number): string {
  const end = raw.indexOf("\r\n", at);
  if (end < 0) throw new BadBodyError("IncompleteBody", "The request body terminated unexpectedly");
  return raw.toString("latin1", at, end);
}

function trailersOf(raw: Buffer): Record<string, string> {
  const trailers: Record<string, string> = {};
  for (const line of raw.toString("latin1").split(/\r?\n/)) {
    const colon = line.indexOf(":");
    if (colon > 0) trailers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
  }
  return trailers;
}

function checkLength(request: WireRequest, body: Buffer): void {
  const said = request.headers["x-amz-decoded-content-length"];
  if (said !== undefined && Number(said) !== body.length) {
    throw new BadBodyError("IncompleteBody", `You did not provide the number of bytes specified: ${said}, not ${body.length}`);
  }
}

function checkDigests(headers: Readonly<Record<string, string | undefined>>, body: Buffer): void {
  const md5 = headers["content-md5"];
  if (md5 !== undefined && md5 !== createHash("md5").update(body).digest("base64")) {
    throw new BadBodyError("BadDigest", "The Content-MD5 you specified did not match what we received.");
  }
  const sha256 = headers["x-amz-content-sha256"];
  if (sha256 !== undefined && /^[0-9a-f]{64}$/.test(sha256) && sha256 !== createHash("sha256").update(body).digest("hex")) {
    throw new BadBodyError("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.");
  }
  // CRC32C and CRC64NVME, which Node does not compute, are taken on trust.
  const sums: readonly (readonly [string, () => string])[] = [
    ["x-amz-checksum-crc32", () => crc32Base64(body)],
    ["x-amz-checksum-sha1", () => createHash("sha1").update(body).digest("base64")],
    ["x-amz-checksum-sha256", () => createHash("sha256").update(body).digest("base64")],
  ];
  for (const [name, compute] of sums) {
    const said = headers[name];
    if (said !== undefined && said !== compute()) {
      throw new BadBodyError("BadDigest", `The ${name} you specified did not match the calculated checksum.`);
    }
  }
}

function crc32Base64(body: Buffer): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString("base64");
}
