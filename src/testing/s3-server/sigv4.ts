/** Signature Version 4 as S3 checks it: in the Authorization header or in the query, and of each chunk of a signed stream. */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { parseInstant, toIso } from "../../clock/calendar.ts";
import type { Chunk } from "./chunked-body.ts";
import type { WireAnswer, WireRequest } from "./wire.ts";
import { errorAnswer } from "./xml.ts";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What a request says of its own signature. */
interface Claim {
  readonly accessKeyId: string;
  /** yyyymmdd, region, service. */
  readonly day: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** yyyymmddThhmmssZ */
  readonly date: string;
  readonly payload: string;
  /** Seconds that a signed URL is good for. */
  readonly expiresSec: number | undefined;
}

const ALGORITHM = "AWS4-HMAC-SHA256";
/** S3 refuses requests that are signed for a time further off than this. */
const MAX_SKEW_MS = 900_000;

/** The key, and what the first chunk of a signed stream chains to. */
export interface Signed {
  readonly key: Buffer;
  readonly claim: Claim;
}

export function checkSignature(
  request: WireRequest,
  credentials: Credentials,
  at: { readonly region: string; readonly wallMs: number },
): Signed | WireAnswer {
  const claim = claimOf(request);
  if (claim === undefined) return refusal(request, 403, "AccessDenied", "Access Denied: the request is not signed");
  if (claim.accessKeyId !== credentials.accessKeyId) {
    return refusal(request, 403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.");
  }
  const signedMs = dateOf(claim.date);
  if (signedMs === undefined) return refusal(request, 403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header");
  const ageMs = at.wallMs - signedMs;
  if (claim.expiresSec !== undefined && ageMs > claim.expiresSec * 1_000)
    return refusal(request, 403, "AccessDenied", "Request has expired");
  if (ageMs < -MAX_SKEW_MS || (claim.expiresSec === undefined && ageMs > MAX_SKEW_MS)) return tooSkewed(request);
  if (claim.region !== at.region) return wrongSigningRegion(request, claim.region, at.region);
  const key = signingKey(credentials.secretAccessKey, claim);
  if (!isEqual(sign(key, stringToSign(claim, canonicalRequest(request, claim))), claim.signature)) {
    return refusal(
      request,
      403,
      "SignatureDoesNotMatch",
      "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    );
  }
  return { key, claim };
}

export function tooSkewed(request: WireRequest): WireAnswer {
  return refusal(request, 403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.");
}

export function wrongSigningRegion(request: WireRequest, said: string, right: string): WireAnswer {
  return errorAnswer({
    status: 400,
    code: "AuthorizationHeaderMalformed",
    message: `The authorization header is malformed; the region '${said}' is wrong; expecting '${right}'`,
    bucket: request.bucket,
    more: [["Region", right]],
    headers: [["x-amz-bucket-region", right]],
  });
}

/** Whether every chunk of a signed stream carries its signature, each chained to the one before. */
export function areChunksSigned(signed: Signed, chunks: readonly Chunk[]): boolean {
  const { key, claim } = signed;
  let previous = claim.signature;
  for (const { data, signature } of chunks) {
    const text = [`${ALGORITHM}-PAYLOAD`, claim.date, scopeOf(claim), previous, sha256(""), sha256(data)].join("\n");
    const right = sign(key, text);
    if (signature === undefined || !isEqual(right, signature)) return false;
    previous = right;
  }
  return true;
}

function refusal(request: WireRequest, status: number, code: string, message: string): WireAnswer {
  return errorAnswer({ status, code, message, key: request.key });
}

function claimOf(request: WireRequest): Claim | undefined {
  const { headers, query } = request;
  const header = headers["authorization"];
  if (header === undefined) return query.get("X-Amz-Algorithm") === ALGORITHM ? claimOfQuery(query) : undefined;
  if (!header.startsWith(`${ALGORITHM} `)) return undefined;
  const parts = new Map(
    header
      .slice(ALGORITHM.length + 1)
      .split(",")
      .map((part): [string, string] => {
        const [name = "", value = ""] = part.trim().split(/=(.*)/s);
        return [name, value];
      }),
  );
  const httpDateMs = parseInstant(headers["date"] ?? "");
  const date = headers["x-amz-date"] ?? (httpDateMs === undefined ? "" : compactDate(httpDateMs));
  return toClaim(parts.get("Credential"), parts.get("SignedHeaders"), parts.get("Signature"), {
    date,
    payload: headers["x-amz-content-sha256"] ?? sha256(request.body),
    expiresSec: undefined,
  });
}

function claimOfQuery(query: URLSearchParams): Claim | undefined {
  return toClaim(query.get("X-Amz-Credential"), query.get("X-Amz-SignedHeaders"), query.get("X-Amz-Signature"), {
    date: query.get("X-Amz-Date") ?? "",
    payload: "UNSIGNED-PAYLOAD",
    expiresSec: Number(query.get("X-Amz-Expires") ?? 0),
  });
}

function toClaim(
  credential: string | null | undefined,
  signedHeaders: string | null | undefined,
  signature: string | null | undefined,
  rest: Pick<Claim, "date" | "payload" | "expiresSec">,
): Claim | undefined {
  const [, accessKeyId, day, region, service] = /^(.+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request$/.exec(credential ?? "") ?? [];
  if (accessKeyId === undefined || day === undefined || region === undefined || service === undefined) return undefined;
  if (typeof signedHeaders !== "string" || typeof signature !== "string") return undefined;
  return { accessKeyId, day, region, service, signedHeaders: signedHeaders.split(";"), signature, ...rest };
}

/** From yyyymmddThhmmssZ to milliseconds since 1970. */
export function dateOf(compact: string): number | undefined {
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(compact) ?? [];
  return s === undefined ? undefined : parseInstant(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
}

function compactDate(ms: number): string {
  return toIso(ms).replace(/[-:]|\.\d+/g, "");
}

function canonicalRequest(request: WireRequest, claim: Claim): string {
  const { target, headers } = request;
  const cut = target.indexOf("?");
  const path = cut < 0 ? target : target.slice(0, cut);
  const lines = claim.signedHeaders.map((name) => `${name}:${(headers[name] ?? "").trim().replace(/ +/g, " ")}\n`);
  return [
    request.method,
    encode(decodeURIComponent(path)).replaceAll("%2F", "/"),
    canonicalQuery(cut < 0 ? "" : target.slice(cut + 1)),
    lines.join(""),
    claim.signedHeaders.join(";"),
    claim.payload,
  ].join("\n");
}

function canonicalQuery(raw: string): string {
  const pairs = raw
    .split("&")
    .filter((part) => part !== "")
    .map((part): [string, string] => {
      const [name = "", value = ""] = part.split(/=(.*)/s);
      return [encode(decodeURIComponent(name)), encode(decodeURIComponent(value))];
    })
    .filter(([name]) => name !== "X-Amz-Signature");
  return pairs
    .sort(([a, x], [b, y]) => (a === b ? compare(x, y) : compare(a, b)))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** All but the unreserved characters, as the signature wants it. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function stringToSign(claim: Claim, canonical: string): string {
  return [ALGORITHM, claim.date, scopeOf(claim), sha256(canonical)].join("\n");
}

function scopeOf(claim: Claim): string {
  return `${claim.day}/${claim.region}/${claim.service}/aws4_request`;
}

function signingKey(secret: string, claim: Claim): Buffer {
  return [claim.day, claim.region, claim.service, "aws4_request"].reduce<Buffer>(
    (key, part) => createHmac("sha256", key).update(part).digest(),
    Buffer.from(`AWS4${secret}`),
  );
}

function sign(key: Buffer, text: string): string {
  return createHmac("sha256", key).update(text).digest("hex");
}

function sha256(data: string | Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

function isEqual(a: string, b: string): boolean {
  const [x, y] = [Buffer.from(a), Buffer.from(b)];
  return x.length === y.length && timingSafeEqual(x, y);
}
