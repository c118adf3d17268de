/** What to change, in words, for each answer that waiting can't mend. Pure. */
import { headerTime, type WireAnswer, type WireRequest } from "./s3-answer.ts";

export interface About {
  readonly op: WireRequest["op"];
  /** The URL of the store and the key, as messages name them. */
  readonly bucket: string;
  readonly prefix: string;
  readonly key: string;
  readonly wallMs: number;
  /** A clock that was right before was set: the SDK has learnt the store's time from this refusal, and signs the next request by it. */
  readonly clockMayMend?: boolean | undefined;
}

export interface MorePermissions {
  /** On the objects below the prefix, as "s3:DeleteObject". */
  readonly objects?: readonly string[] | undefined;
  /** On the bucket itself. */
  readonly bucket?: readonly string[] | undefined;
}

/** The permissions that everything in this package needs, and those that are wanted beside them, as JSON on one line, to be pasted. */
export function minimalPolicy(bucket: string, prefix: string, more: MorePermissions = {}): string {
  const arn = bucket.startsWith("arn:") ? bucket : `arn:aws:s3:::${bucket}`;
  const objects = bucket.startsWith("arn:") ? `${arn}/object/${prefix}*` : `${arn}/${prefix}*`;
  return JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      { Effect: "Allow", Action: ["s3:GetObject", "s3:PutObject", ...(more.objects ?? [])], Resource: objects },
      { Effect: "Allow", Action: more.bucket === undefined ? "s3:ListBucket" : ["s3:ListBucket", ...more.bucket], Resource: arn },
    ],
  });
}

const ACTION: Readonly<Record<WireRequest["op"], string>> = {
  get: "s3:GetObject",
  put: "s3:PutObject (and s3:GetObject, which If-Match needs)",
  list: "s3:ListBucket",
  delete: "s3:DeleteObject",
  setting: "s3:GetBucketVersioning, s3:GetLifecycleConfiguration and s3:GetBucketObjectLockConfiguration",
};

const SIGNATURE_ADVICE =
  "the secret key does not belong to the access key, or a proxy changes the request (host, path or headers) after it was signed";

/** The hint for a 4xx or 3xx that is no outcome of a condition. */
export function adviceFor(answer: WireAnswer, about: About): string {
  const region = wrongRegion(answer);
  if (region !== undefined) return region;
  switch (answer.code) {
    case "NoSuchBucket":
      return `create the bucket ${JSON.stringify(about.bucket)}, or correct its name, region or endpoint`;
    case "InvalidAccessKeyId":
      return "the access key is not known to this server: check which credentials the AWS SDK finds (environment, profile, role) and the endpoint";
    case "SignatureDoesNotMatch":
      return SIGNATURE_ADVICE;
    case "AccessDenied":
      return deniedAdvice(answer, about);
    case "RequestTimeTooSkewed":
    case "RequestExpired":
      return clockAdvice(answer, about);
    case "ExpiredToken":
    case "ExpiredTokenException":
    case "TokenRefreshRequired":
      return "the session token has expired and the AWS SDK found no newer one: log in again, or use credentials that renew themselves (a role)";
    case "InvalidToken":
    case "InvalidTokenId":
      return "the session token is not valid here: check AWS_SESSION_TOKEN, which must belong to the access key and the partition";
    case "NoSuchAccessPoint":
    case "NoSuchOutpost":
      return `there is no access point ${about.bucket}: check its ARN, region and account`;
    case "InvalidBucketName":
      return `the server takes no bucket of the name ${JSON.stringify(about.bucket)}; with path-style addressing off, set pathStyle=true`;
    case "KeyTooLongError":
    case "XMinioInvalidObjectName":
      return "the server takes no such key (MinIO: no part between two slashes of more than 255 bytes, and other letters than a to z take several): use a shorter name";
    case "KMS.DisabledException":
    case "KMS.NotFoundException":
    case "KMS.KMSInvalidStateException":
      return "the KMS key of the bucket is disabled, deleted or not there: mend the key or the bucket's encryption";
    case "InvalidRequest":
      return "the bucket demands something of a PUT that is not sent (a checksum under Object Lock, an encryption header): use a bucket without it";
    default:
      return answer.status === 403 || answer.status === 401 || answer.code === undefined
        ? deniedAdvice(answer, about)
        : `the store refused the request as such (status ${answer.status}): check bucket, endpoint and permissions`;
  }
}

function deniedAdvice(answer: WireAnswer, about: About): string {
  if (answer.code === undefined) {
    return "the answer is not from S3: a proxy or a firewall on the way denied it, or the endpoint is not an S3 server, or it takes no unsigned requests";
  }
  // MinIO's words for a header that was signed and did not arrive.
  if (/headers present in the request which were not signed/i.test(answer.message ?? "")) return SIGNATURE_ADVICE;
  if (/kms:/i.test(answer.message ?? "")) return "allow kms:Decrypt and kms:GenerateDataKey on the bucket's KMS key";
  const policy = `The least policy that works: ${minimalPolicy(about.bucket, about.prefix)}`;
  if (about.op === "get") {
    return (
      "either s3:GetObject is not allowed, or the object does not exist and s3:ListBucket is not allowed without a condition on the prefix: S3 then " +
      `answers 403 for a missing key, and nothing could ever be created. ${policy}`
    );
  }
  return `allow ${ACTION[about.op]} (also look at bucket policies that demand encryption, an owner or a network). ${policy}`;
}

function clockAdvice(answer: WireAnswer, about: About): string {
  const dateMs = headerTime(answer.headers["date"]);
  if (dateMs === undefined) return "the clock of this machine is off by more than the store allows: set it (NTP)";
  const offMs = about.wallMs - dateMs;
  const minutes = (Math.abs(offMs) / 60_000).toFixed(1);
  return `the clock of this machine is ${minutes} minutes ${offMs < 0 ? "behind" : "ahead of"} the store's: set it (NTP)`;
}

/** A bucket in another region answers 301, 307 or 400. */
function wrongRegion(answer: WireAnswer): string | undefined {
  const codes = [
    "PermanentRedirect",
    "TemporaryRedirect",
    "Redirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
  ];
  const redirect = answer.status >= 300 && answer.status < 400;
  if (!redirect && !codes.includes(answer.code ?? "")) return undefined;
  if (answer.region !== undefined) return `the bucket is in the region ${JSON.stringify(answer.region)}: set region=${answer.region}`;
  if (answer.code === "AuthorizationHeaderMalformed" && answer.message !== undefined)
    return `set the region that the store expects: ${answer.message}`;
  const host = /^https?:\/\/([^/?#@]{1,255})/.exec(answer.headers["location"] ?? "")?.[1];
  return `the bucket is in another region or at another endpoint${host === undefined ? "" : ` (the store points to ${host})`}: set region, or endpoint`;
}

/** The hint for a failure of this machine or of the way there that waiting can't mend; `undefined` for all others. */
export function adviceForFailure(error: Chained): string | undefined {
  const codes = chainOf(error);
  if (codes.some((e) => e.code === "ERR_MODULE_NOT_FOUND" || e.code === "MODULE_NOT_FOUND"))
    return "install it: npm install @aws-sdk/client-s3";
  if (codes.some((e) => e.name === "CredentialsProviderError" || e.name === "TokenProviderError" || /credential/i.test(e.name ?? ""))) {
    return "the AWS SDK found no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the process a role";
  }
  if (codes.some((e) => /region is missing/i.test(e.message ?? ""))) return "set region=… in the store's URL, or AWS_REGION";
  if (codes.some((e) => TLS_CODES.test(e.code ?? ""))) {
    return "the server's certificate is not trusted here: correct the endpoint's name, or let Node know the authority (NODE_EXTRA_CA_CERTS)";
  }
  if (codes.some((e) => e.code === "EPROTO" || e.code === "ERR_SSL_WRONG_VERSION_NUMBER"))
    return "the server does not speak TLS there: use http:// in the endpoint, or the right port";
  return undefined;
}

const TLS_CODES =
  /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT(?:_LOCALLY)?|CERT_[A-Z_]+|ERR_TLS_CERT_ALTNAME_INVALID)$/;

/** As much of an error, its cause and its parts as is looked at. */
export interface Chained {
  readonly name?: string | undefined;
  readonly message?: string | undefined;
  readonly code?: string | undefined;
  readonly syscall?: string | undefined;
  readonly cause?: unknown;
  readonly errors?: readonly unknown[] | undefined;
}

/** The error, its causes and, of an `AggregateError` (one attempt per address), its parts. */
export function chainOf(error: Chained): readonly Chained[] {
  const chain: Chained[] = [];
  const queue: unknown[] = [error];
  while (queue.length > 0 && chain.length < 20) {
    const next = queue.shift();
    if (typeof next !== "object" || next === null || chain.includes(next)) continue;
    const e = next as Chained;
    chain.push(e);
    queue.push(...(Array.isArray(e.errors) ? e.errors : []), e.cause);
  }
  return chain;
}
