/** How an S3 store is named: by URL or by an object. Pure; every fault of either form is told in one message. */
import { ConfigError } from "../errors.ts";
import type { Clock, Random } from "../clock/clock.ts";
import {
  aBoolean,
  anInteger,
  anObject,
  aString,
  oneOf,
  optionFaults,
  parseDuration,
  required,
  show,
  throwFaults,
  unknownNames,
} from "../options.ts";
import { byteLength, hasControlCharacters } from "./keys.ts";

/** As much of an `S3Client` as is used. Loose on purpose, so that clients of other SDK versions fit. */
export interface S3ClientLike {
  send(command: never, options?: never): Promise<unknown>;
}

export type EtagQuoting = "auto" | "quoted" | "unquoted";

export interface S3StoreOptions {
  /** Bucket name, or the ARN of an access point or an Outposts access point. Multi-Region Access Points are refused: two buckets behind one name. */
  readonly bucket: string;
  /** Everything this package writes stands below it. At most 512 bytes. Default: the whole bucket. */
  readonly prefix?: string | undefined;
  /** The user's own `S3Client`. Default: an own client with its own connections, which a bulk upload elsewhere can't starve. */
  readonly client?: S3ClientLike | undefined;
  /** Server other than AWS, `http://host:port`. Default: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, else AWS. */
  readonly endpoint?: string | undefined;
  /** Default: the SDK's chain for AWS, `us-east-1` for another endpoint. */
  readonly region?: string | undefined;
  /** Bucket in the path instead of the host name. Default: true for an endpoint that is not AWS. */
  readonly pathStyle?: boolean | undefined;
  /** Whether ETags are sent with their quotes in `If-Match`. Default `auto`: quoted, unless the probe finds that only unquoted ones work. */
  readonly etagQuoting?: EtagQuoting | undefined;
  /** Sends `x-amz-request-payer: requester`. Default false. */
  readonly requesterPays?: boolean | undefined;
  /** The account that must own the bucket, 12 digits; another owner is an access error. */
  readonly expectedBucketOwner?: string | undefined;
  /** Time limit of one request with its retries, 50 to 30,000 ms. Default 5,000. A write that runs into it is `unknown`. */
  readonly requestTimeoutMs?: number | undefined;
  /**
   * Default true. False skips the probe, its verdict and the proof of this client's path (rule W9): a store or proxy that ignores conditions
   * is then noticed by nobody, and takeover by the store's time is off. The check that each condition is in the request stays.
   */
  readonly probe?: boolean | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
}

/** The options with their defaults, as everything else reads them. */
export interface S3Settings {
  /** The normalised name: what `store.url` shows and what makes one URL one store. */
  readonly url: string;
  readonly bucket: string;
  /** Empty, or ending in a slash. */
  readonly prefix: string;
  readonly client: S3ClientLike | undefined;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly pathStyle: boolean;
  readonly etagQuoting: EtagQuoting;
  readonly requesterPays: boolean;
  readonly expectedBucketOwner: string | undefined;
  readonly requestTimeoutMs: number;
  readonly probe: boolean;
}

export const DEFAULT_REQUEST_TIMEOUT_MS = 5_000;
const MIN_REQUEST_TIMEOUT_MS = 50;
const MAX_REQUEST_TIMEOUT_MS = 30_000;
const MAX_PREFIX_BYTES = 512;

const SPEC = {
  bucket: required(aString("the name of a bucket")),
  prefix: aString("a string"),
  client: anObject("an S3Client of @aws-sdk/client-s3", "send"),
  endpoint: aString("the URL of a server, such as http://127.0.0.1:9000"),
  region: aString("a region, such as eu-central-1", (s) => /^[a-z0-9-]{1,64}$/i.test(s)),
  pathStyle: aBoolean,
  etagQuoting: oneOf("auto", "quoted", "unquoted"),
  requesterPays: aBoolean,
  expectedBucketOwner: aString("an AWS account, 12 digits", (s) => /^\d{12}$/.test(s)),
  requestTimeoutMs: anInteger("milliseconds", MIN_REQUEST_TIMEOUT_MS, MAX_REQUEST_TIMEOUT_MS),
  probe: aBoolean,
  clock: anObject("a Clock", "monotonicMs", "wallMs", "setTimer"),
  random: anObject("a Random", "bytes", "unit"),
};

export type Environment = Readonly<Record<string, string | undefined>>;

/** The settings of the object form. */
export function settingsOf(options: S3StoreOptions, env: Environment = {}): S3Settings {
  const faults = optionFaults(options, SPEC);
  if (typeof options === "object" && options !== null) {
    faults.push(
      ...bucketFaults(options.bucket),
      ...prefixFaults(options.prefix),
      ...endpointFaults(options.endpoint),
      ...clientFaults(options),
    );
  }
  throwFaults("s3Store", faults);
  return withDefaults(options, env);
}

/** The settings of `s3://bucket/prefix?endpoint=…&region=…`. */
export function settingsOfUrl(url: string, env: Environment = {}): S3Settings {
  const { options, faults } = parseUrl(url);
  const what = `s3Store(${JSON.stringify(redacted(url))})`;
  throwFaults(what, [...faults, ...bucketFaults(options.bucket), ...prefixFaults(options.prefix), ...endpointFaults(options.endpoint)]);
  return withDefaults(options, env);
}

function withDefaults(o: S3StoreOptions, env: Environment): S3Settings {
  const endpoint = o.client === undefined ? (o.endpoint ?? env["AWS_ENDPOINT_URL_S3"] ?? env["AWS_ENDPOINT_URL"]) : undefined;
  const custom = endpoint !== undefined && endpoint !== "";
  const settings = {
    bucket: o.bucket,
    prefix: trimSlashes(o.prefix ?? ""),
    client: o.client,
    endpoint: custom ? endpoint : undefined,
    region: o.region ?? (custom ? "us-east-1" : undefined),
    pathStyle: o.pathStyle ?? (custom && !o.bucket.startsWith("arn:")),
    etagQuoting: o.etagQuoting ?? "auto",
    requesterPays: o.requesterPays ?? false,
    expectedBucketOwner: o.expectedBucketOwner,
    requestTimeoutMs: o.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS,
    probe: o.probe ?? true,
  };
  return { url: urlOf(settings), ...settings, prefix: settings.prefix === "" ? "" : `${settings.prefix}/` };
}

/** The one spelling of a store's name: parameters sorted, defaults left out. */
function urlOf(s: Omit<S3Settings, "url">): string {
  const parameters: Record<string, string | undefined> = {
    endpoint: s.endpoint,
    etagQuoting: s.etagQuoting === "auto" ? undefined : s.etagQuoting,
    expectedBucketOwner: s.expectedBucketOwner,
    pathStyle: s.pathStyle === (s.endpoint !== undefined && !s.bucket.startsWith("arn:")) ? undefined : String(s.pathStyle),
    probe: s.probe ? undefined : "false",
    region: s.endpoint !== undefined && s.region === "us-east-1" ? undefined : s.region,
    requestTimeout: s.requestTimeoutMs === DEFAULT_REQUEST_TIMEOUT_MS ? undefined : `${s.requestTimeoutMs}ms`,
    requesterPays: s.requesterPays ? "true" : undefined,
  };
  const query = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value).replaceAll("%3A", ":").replaceAll("%2F", "/")}`],
  );
  const path = s.prefix.split("/").map(encodeURIComponent).join("/");
  return `s3://${s.bucket}${path === "" ? "" : `/${path}`}${query.length === 0 ? "" : `?${query.join("&")}`}`;
}

interface Parsed {
  readonly options: S3StoreOptions;
  readonly faults: string[];
}

const PARAMETERS = ["endpoint", "region", "pathStyle", "etagQuoting", "requesterPays", "expectedBucketOwner", "requestTimeout", "probe"];

/** Not by `new URL`: the colons of an ARN are no port. */
function parseUrl(url: string): Parsed {
  const faults: string[] = [];
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url);
  if (scheme?.[1]?.toLowerCase() !== "s3") {
    const got = scheme?.[1] === undefined ? "has no scheme" : `has the scheme ${show(scheme[1])}`;
    throw new ConfigError(`s3Store(${JSON.stringify(redacted(url))})`, [
      `the URL ${got}: expected s3://bucket/prefix${/^https?$/i.test(scheme?.[1] ?? "") ? "?endpoint=http://host:port for a server other than AWS" : ""}`,
    ]);
  }
  const rest = url.slice("s3://".length);
  const hash = rest.indexOf("#");
  if (hash >= 0) faults.push("the URL has a fragment (#…): write # as %23");
  const [location = "", ...queries] = (hash < 0 ? rest : rest.slice(0, hash)).split("?");
  const { bucket, path } = splitLocation(location, faults);
  const values = readQuery(queries.join("?"), faults);
  const flag = (name: string): boolean | undefined => {
    const value = values.get(name);
    if (value !== undefined && value !== "true" && value !== "false") faults.push(`${name} is ${show(value)}: expected true or false`);
    return value === undefined ? undefined : value === "true";
  };
  const checked = (name: keyof typeof SPEC): string | undefined => {
    const value = values.get(name);
    const right = value === undefined ? undefined : SPEC[name](value);
    if (right !== undefined) faults.push(`${name} is ${show(value)}: expected ${right}`);
    return value;
  };
  const options: S3StoreOptions = {
    bucket,
    prefix: decode(path, "the prefix", faults),
    endpoint: values.get("endpoint"),
    region: checked("region"),
    pathStyle: flag("pathStyle"),
    etagQuoting: checked("etagQuoting") as EtagQuoting | undefined,
    requesterPays: flag("requesterPays"),
    expectedBucketOwner: checked("expectedBucketOwner"),
    requestTimeoutMs: durationOf(values.get("requestTimeout"), faults),
    probe: flag("probe"),
  };
  return { options, faults };
}

function splitLocation(location: string, faults: string[]): { readonly bucket: string; readonly path: string } {
  const arn = /^(arn:[^/]*(?:accesspoint|outpost)(?:[/:][^/]+)(?:\/accesspoint\/[^/]+)?)(?:\/(.*))?$/s.exec(location);
  if (arn !== null) return { bucket: arn[1] ?? "", path: arn[2] ?? "" };
  const slash = location.indexOf("/");
  const authority = slash < 0 ? location : location.slice(0, slash);
  const path = slash < 0 ? "" : location.slice(slash + 1);
  if (authority.startsWith("arn:")) return { bucket: location, path: "" };
  const at = authority.lastIndexOf("@");
  if (at >= 0)
    faults.push(
      "the URL carries credentials before the @: they come from the AWS SDK's own chain (environment, profile, role) and never from a URL",
    );
  const host = authority.slice(at + 1);
  const port = /:(.*)$/s.exec(host);
  if (port !== null)
    faults.push(`the URL has the port ${show(port[1])} after the bucket: the server belongs into ?endpoint=http://host:port`);
  return { bucket: decode(host.replace(/:.*$/s, ""), "the bucket", faults), path };
}

function readQuery(query: string, faults: string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  if (query === "") return values;
  const unknown: string[] = [];
  for (const part of query.split("&")) {
    const equals = part.indexOf("=");
    const name = decode(equals < 0 ? part : part.slice(0, equals), "a parameter's name", faults);
    if (name === "") faults.push("the URL has a parameter without a name");
    else if (isSecretName(name))
      faults.push(`the parameter ${show(name)} is a credential: they come from the AWS SDK's own chain and never from a URL`);
    else if (!PARAMETERS.includes(name)) unknown.push(name);
    else if (values.has(name)) faults.push(`the parameter ${show(name)} is given twice`);
    else if (equals < 0 || equals === part.length - 1) faults.push(`the parameter ${show(name)} has no value`);
    else values.set(name, decode(part.slice(equals + 1).replaceAll("+", "%20"), `the parameter ${show(name)}`, faults));
  }
  faults.push(...unknownNames(unknown, PARAMETERS, "parameter"));
  return values;
}

function durationOf(value: string | undefined, faults: string[]): number | undefined {
  if (value === undefined) return undefined;
  const ms = parseDuration(value);
  if (ms === undefined || ms < MIN_REQUEST_TIMEOUT_MS || ms > MAX_REQUEST_TIMEOUT_MS) {
    faults.push(
      `requestTimeout is ${show(value)}: expected a duration from ${MIN_REQUEST_TIMEOUT_MS}ms to ${MAX_REQUEST_TIMEOUT_MS / 1000}s, such as 5s`,
    );
    return undefined;
  }
  return ms;
}

function bucketFaults(bucket: unknown): string[] {
  if (typeof bucket !== "string") return [];
  if (bucket === "") return ["the bucket is empty: expected s3://bucket/prefix"];
  if (/\.mrap$/i.test(bucket) || /\.mrap\.accesspoint\./i.test(bucket) || /^arn:[^:]*:s3::\d*:accesspoint[/:]/i.test(bucket)) {
    return [
      `the bucket ${show(bucket)} is a Multi-Region Access Point: it sends each request to the nearest of several buckets, so two leaders could each ` +
        "win in their own. Name one bucket, or an access point of one region",
    ];
  }
  if (bucket.startsWith("arn:")) {
    const good =
      /^arn:aws[a-z-]*:s3(?:-outposts)?:[a-z0-9-]+:\d{12}:(?:accesspoint[/:][a-z0-9-]{3,63}|outpost[/:]op-[a-z0-9]+[/:]accesspoint[/:][a-z0-9-]{3,63})$/;
    return good.test(bucket)
      ? []
      : [
          `the bucket ${show(bucket)} is an ARN, but not of an access point (arn:aws:s3:region:account:accesspoint/name) nor of an Outposts access point`,
        ];
  }
  const fine = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) && !bucket.includes("..") && !/^\d+\.\d+\.\d+\.\d+$/.test(bucket);
  return fine ? [] : [`the bucket is ${show(bucket)}: expected 3 to 63 lower-case letters, digits, dots and hyphens, not an IP address`];
}

function prefixFaults(prefix: unknown): string[] {
  if (typeof prefix !== "string" || prefix === "") return [];
  const faults: string[] = [];
  if (byteLength(prefix) > MAX_PREFIX_BYTES)
    faults.push(`the prefix has ${byteLength(prefix)} bytes: at most ${MAX_PREFIX_BYTES} leave room for the keys`);
  if (hasControlCharacters(prefix)) faults.push(`the prefix ${show(prefix)} has control characters`);
  const parts = trimSlashes(prefix).split("/");
  if (parts.some((part) => part === "." || part === ".." || (part === "" && parts.length > 1))) {
    faults.push(`the prefix ${show(prefix)} has an empty, "." or ".." part, which several servers refuse or resolve`);
  }
  return faults;
}

function endpointFaults(endpoint: unknown): string[] {
  if (typeof endpoint !== "string") return [];
  const wrong = (why: string): string[] => [
    `endpoint is ${show(redacted(endpoint))}: ${why}; expected the URL of a server, such as http://127.0.0.1:9000`,
  ];
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(endpoint);
  if (scheme === null) return wrong("it has no scheme");
  if (!/^https?$/i.test(scheme[1] ?? "")) return wrong(`its scheme is ${show(scheme[1])}`);
  const port = /^https?:\/\/(?:[^/@]*@)?(?:\[[^\]]*\]|[^:/?#]*):([^/?#]*)/i.exec(endpoint)?.[1];
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535))
    return wrong(`its port is ${show(port)}`);
  if (!URL.canParse(endpoint)) return wrong("it is no URL");
  const url = new URL(endpoint);
  if (url.username !== "" || url.password !== "")
    return wrong("it carries credentials, which come from the AWS SDK's own chain and never from a URL");
  if (url.search !== "" || url.hash !== "") return wrong("it has a query or a fragment");
  if (/\.mrap\.accesspoint\./i.test(url.hostname)) return wrong("it is a Multi-Region Access Point: two buckets behind one name");
  return [];
}

/** What a client of the user already says can't be said again. */
function clientFaults(options: S3StoreOptions): string[] {
  if (options.client === undefined) return [];
  return (["endpoint", "region", "pathStyle"] as const)
    .filter((name) => options[name] !== undefined)
    .map(
      (name) =>
        `${name} is given beside client: set it on the client (${name === "pathStyle" ? "forcePathStyle" : name}), or leave client out`,
    );
}

function isSecretName(name: string): boolean {
  return /secret|password|token|credential|signature|access_?-?key/i.test(name);
}

/** The URL as messages show it: nothing before an @, no value of a parameter that is not known. */
function redacted(url: string): string {
  const bare = url.replace(/\/\/[^/?#]*@/, "//***@");
  return bare.replace(/([?&])([^=&]+)=([^&]*)/g, (whole, mark: string, name: string) =>
    PARAMETERS.includes(name) ? whole : `${mark}${name}=***`,
  );
}

function decode(text: string, what: string, faults: string[]): string {
  try {
    return decodeURIComponent(text);
  } catch {
    faults.push(`${what} ${show(text)} has a % that is no escape: write % as %25`);
    return text;
  }
}

function trimSlashes(text: string): string {
  return text.replace(/^\/+|\/+$/g, "");
}
