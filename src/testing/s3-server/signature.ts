/** Signature Version 4 as far as S3 clients use it: in the Authorization header, over the body's hash as the client states it. */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { WireAnswer, WireRequest } from "./wire.ts";
import { errorAnswer } from "./xml.ts";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const MAX_SKEW_MS = 15 * 60_000;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;

/** The refusal, or `undefined` for a good signature. */
export function signatureRefused(request: WireRequest, credentials: Credentials, nowMs: number): WireAnswer | undefined {
  const given = AUTHORIZATION.exec(request.headers["authorization"] ?? "");
  const refuse = (code: string, message: string): WireAnswer => errorAnswer({ status: 403, code, message, key: request.key });
  if (given === null) return refuse("AccessDenied", "There is no signature of version 4 in the Authorization header.");
  const [, keyId = "", day = "", region = "", signedNames = "", signature = ""] = given;
  if (keyId !== credentials.accessKeyId)
    return refuse("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.");
  const at = request.headers["x-amz-date"] ?? "";
  const [, y, mo, d, h, mi, s] = (/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(at) ?? []).map(Number);
  const signedMs = Date.UTC(y ?? 0, (mo ?? 1) - 1, d ?? 0, h ?? 0, mi ?? 0, s ?? 0);
  if (!(Math.abs(signedMs - nowMs) <= MAX_SKEW_MS))
    return refuse("RequestTimeTooSkewed", "The difference between the request time and the current time is too large.");
  const names = signedNames.split(";");
  const scope = `${day}/${region}/s3/aws4_request`;
  const toSign = ["AWS4-HMAC-SHA256", at, scope, sha256(canonical(request, names))].join("\n");
  const key = [day, region, "s3", "aws4_request"].reduce((k: Buffer | string, part) => hmac(k, part), `AWS4${credentials.secretAccessKey}`);
  const right = hmac(key, toSign);
  if (!timingSafeEqual(right, Buffer.from(signature, "hex")))
    return refuse("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.");
  const stated = request.headers["x-amz-content-sha256"] ?? "";
  if (/^[0-9a-f]{64}$/.test(stated) && stated !== sha256(request.body))
    return errorAnswer({
      status: 400,
      code: "XAmzContentSHA256Mismatch",
      message: "The provided 'x-amz-content-sha256' header does not match what was computed.",
    });
  return undefined;
}

function canonical(request: WireRequest, names: readonly string[]): string {
  const [path = "/", search = ""] = request.target.split(/\?(.*)/s);
  const query = search
    .split("&")
    .filter((part) => part !== "")
    .map((part) => (part.includes("=") ? part : `${part}=`))
    .sort()
    .join("&");
  const headers = names.map((name) => `${name}:${(request.headers[name] ?? "").trim().replace(/ +/g, " ")}\n`).join("");
  return [request.method, path, query, headers, names.join(";"), request.headers["x-amz-content-sha256"] ?? ""].join("\n");
}

function sha256(data: string | Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

function hmac(key: Buffer | string, data: string): Buffer {
  return createHmac("sha256", key).update(data).digest();
}
