/** Every class of answer of docs/stores.md, at the wire: through the real SDK, from a server that says exactly that. */
import { describe, expect, it } from "vitest";
import type { ReadResult, WriteResult } from "../../src/store/object-store.ts";
import { s3Store } from "../../src/store/s3.ts";
import type { S3Store } from "../../src/store/s3-store.ts";
import { useCredentials } from "./credentials.ts";
import { DATE, ETAG, MODIFIED, s3Error, scriptedServer, type Scripted } from "./scripted-server.ts";

useCredentials({ accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" });
const BODY = new TextEncoder().encode('{"a":1}');

async function storeThatHears(scripted: Scripted, parameters = ""): Promise<S3Store> {
  const server = await scriptedServer(() => scripted);
  return s3Store(`s3://jobs/prod?endpoint=${server.endpoint}${parameters}`) as S3Store;
}

const xml = (status: number, code: string, more: { headers?: Record<string, string>; message?: string; xml?: string } = {}): Scripted => ({
  status,
  headers: { "content-type": "application/xml", ...more.headers },
  body: s3Error(code, more.message, more.xml),
});
const html = (status: number): Scripted => ({
  status,
  headers: { "content-type": "text/html" },
  body: `<html><body>${status} from a proxy</body></html>`,
});
const bare = (status: number, headers: Record<string, string> = {}): Scripted => ({ status, headers });

type Expected = Partial<Record<keyof Extract<WriteResult, { kind: "busy" }> | "status" | "etag" | "dateMs" | "error", unknown>>;

const DATE_MS = Date.parse(DATE);
const access = (hint: RegExp): object => ({ kind: "denied", error: { code: "STORE_ACCESS", hint: expect.stringMatching(hint) as string } });
const unsafe = (step: string): object => ({ kind: "denied", error: { code: "STORE_UNSAFE", step } });
const refused = (status: number): object => ({ kind: "refused", status, dateMs: DATE_MS });
const busy = (certain: boolean, retryAfterMs?: number): object => ({
  kind: "busy",
  certain,
  retryAfterMs,
  error: { code: "STORE_UNAVAILABLE" },
});
const unknown = { kind: "unknown", error: { code: "STORE_UNAVAILABLE" } };
const unavailable = { kind: "unavailable", error: { code: "STORE_UNAVAILABLE" } };
const absent = { kind: "absent", dateMs: DATE_MS };

interface Row {
  readonly name: string;
  readonly answer: Scripted;
  readonly create: Expected | object;
  /** Default: as `create`. */
  readonly replace?: Expected | object;
  readonly get: object;
}

const POLICY = /"Action":\["s3:GetObject","s3:PutObject"\],"Resource":"arn:aws:s3:::jobs\/prod\/\*"/;

const ROWS: readonly Row[] = [
  {
    name: "200",
    answer: bare(200, { etag: ETAG }),
    create: { kind: "applied", etag: ETAG, dateMs: DATE_MS },
    get: { kind: "found", etag: ETAG },
  },
  {
    name: "200 without a Date",
    answer: bare(200, { etag: ETAG, date: "" }),
    create: { kind: "applied", dateMs: undefined },
    get: { kind: "found", dateMs: undefined },
  },
  { name: "200 without an ETag", answer: bare(200), create: unknown, get: unavailable },
  {
    name: "304 to a plain request",
    answer: bare(304, { etag: ETAG }),
    create: unknown,
    get: { kind: "not-modified", dateMs: DATE_MS },
  },
  { name: "412", answer: xml(412, "PreconditionFailed"), create: refused(412), get: { kind: "denied" } },
  { name: "412 without a body", answer: bare(412), create: refused(412), get: { kind: "denied" } },
  { name: "404 NoSuchKey", answer: xml(404, "NoSuchKey"), create: unknown, replace: refused(404), get: absent },
  { name: "404 without a body", answer: bare(404), create: unknown, replace: refused(404), get: absent },
  {
    name: "404 NoSuchBucket",
    answer: xml(404, "NoSuchBucket"),
    create: access(/create the bucket "jobs"/),
    get: access(/create the bucket "jobs"/),
  },
  {
    name: "404 NoSuchAccessPoint",
    answer: xml(404, "NoSuchAccessPoint"),
    create: access(/no access point/),
    get: access(/no access point/),
  },
  { name: "404 of a web server", answer: html(404), create: { kind: "denied" }, get: { kind: "denied" } },
  { name: "409 ConditionalRequestConflict", answer: xml(409, "ConditionalRequestConflict"), create: busy(true), get: unavailable },
  { name: "409 OperationAborted", answer: xml(409, "OperationAborted"), create: busy(true), get: unavailable },
  { name: "409 of another kind", answer: xml(409, "InvalidBucketState"), create: busy(false), get: unavailable },
  {
    name: "429 TooManyRequests with Retry-After",
    answer: xml(429, "TooManyRequests", { headers: { "retry-after": "2" } }),
    create: busy(true, 2000),
    get: unavailable,
  },
  { name: "429 of a proxy", answer: html(429), create: busy(false), get: unavailable },
  { name: "503 SlowDown", answer: xml(503, "SlowDown"), create: busy(true), get: unavailable },
  { name: "503 SlowDownWrite (MinIO: a lost write quorum)", answer: xml(503, "SlowDownWrite"), create: busy(false), get: unavailable },
  { name: "503 ServiceUnavailable", answer: xml(503, "ServiceUnavailable"), create: busy(false), get: unavailable },
  { name: "503 of a proxy", answer: html(503), create: busy(false), get: unavailable },
  { name: "400 KMS.ThrottlingException", answer: xml(400, "KMS.ThrottlingException"), create: busy(true), get: unavailable },
  { name: "400 ThrottlingException", answer: xml(400, "ThrottlingException"), create: busy(true), get: unavailable },
  { name: "400 RequestTimeout", answer: xml(400, "RequestTimeout"), create: unknown, get: unavailable },
  { name: "400 IncompleteBody", answer: xml(400, "IncompleteBody"), create: unknown, get: unavailable },
  { name: "400 of a proxy", answer: html(400), create: unknown, get: unavailable },
  { name: "408", answer: bare(408), create: unknown, get: unavailable },
  { name: "500 InternalError", answer: xml(500, "InternalError"), create: unknown, get: unavailable },
  { name: "500 without a body", answer: bare(500), create: unknown, get: unavailable },
  { name: "502 of a proxy", answer: html(502), create: unknown, get: unavailable },
  { name: "504", answer: bare(504), create: unknown, get: unavailable },
  { name: "507 XMinioStorageFull", answer: xml(507, "XMinioStorageFull"), create: unknown, get: unavailable },
  { name: "connection closed without an answer", answer: "reset", create: unknown, get: unavailable },
  { name: "half an answer", answer: "half", create: { kind: "applied" }, get: unavailable },
  {
    name: "403 AccessDenied",
    answer: xml(403, "AccessDenied"),
    create: access(/allow s3:PutObject/),
    get: access(/the object does not exist and s3:ListBucket is not allowed without a condition/),
  },
  { name: "403 AccessDenied shows the policy", answer: xml(403, "AccessDenied"), create: access(POLICY), get: access(POLICY) },
  {
    name: "403 about KMS",
    answer: xml(403, "AccessDenied", { message: "User x is not authorized to perform: kms:GenerateDataKey" }),
    create: access(/kms:Decrypt and kms:GenerateDataKey/),
    get: access(/kms:Decrypt/),
  },
  {
    name: "403 InvalidAccessKeyId",
    answer: xml(403, "InvalidAccessKeyId"),
    create: access(/access key is not known/),
    get: access(/access key is not known/),
  },
  { name: "403 SignatureDoesNotMatch", answer: xml(403, "SignatureDoesNotMatch"), create: access(/secret key/), get: access(/proxy/) },
  { name: "403 of a firewall", answer: html(403), create: access(/not from S3/), get: access(/not from S3/) },
  { name: "401", answer: bare(401), create: access(/not from S3/), get: access(/not from S3/) },
  { name: "400 InvalidToken", answer: xml(400, "InvalidToken"), create: access(/AWS_SESSION_TOKEN/), get: access(/AWS_SESSION_TOKEN/) },
  {
    name: "301 PermanentRedirect",
    answer: xml(301, "PermanentRedirect", { headers: { "x-amz-bucket-region": "eu-west-3" } }),
    create: access(/in the region "eu-west-3": set region=eu-west-3/),
    get: access(/in the region "eu-west-3"/),
  },
  {
    name: "307 TemporaryRedirect",
    answer: xml(307, "TemporaryRedirect", { headers: { location: "http://jobs.s3.eu-west-3.amazonaws.com/x" } }),
    create: access(/jobs\.s3\.eu-west-3\.amazonaws\.com/),
    get: access(/another region or at another endpoint/),
  },
  {
    name: "400 AuthorizationHeaderMalformed",
    answer: xml(400, "AuthorizationHeaderMalformed", { xml: "<Region>ap-south-1</Region>" }),
    create: access(/"ap-south-1"/),
    get: access(/"ap-south-1"/),
  },
  {
    name: "400 IllegalLocationConstraintException",
    answer: xml(400, "IllegalLocationConstraintException"),
    create: access(/another region/),
    get: access(/another region/),
  },
  {
    name: "400 with nothing but the region",
    answer: bare(400, { "x-amz-bucket-region": "sa-east-1" }),
    create: access(/./),
    get: access(/./),
  },
  { name: "400 InvalidRequest", answer: xml(400, "InvalidRequest"), create: access(/Object Lock/), get: access(/./) },
  {
    name: "501 NotImplemented (Backblaze B2)",
    answer: xml(501, "NotImplemented"),
    create: unsafe("conditional-write-not-supported"),
    get: { kind: "denied" },
  },
  {
    name: "405 MethodNotAllowed",
    answer: xml(405, "MethodNotAllowed"),
    create: unsafe("conditional-write-not-supported"),
    get: { kind: "denied" },
  },
];

describe.each(ROWS)("$name", ({ answer, create, replace = create, get }) => {
  it("create, replace and get", async () => {
    const store = await storeThatHears(answer);
    expect(await store.create("k", BODY)).toMatchObject(create);
    expect(await store.replace("k", ETAG, BODY)).toMatchObject(replace);
    expect(await store.get("k")).toMatchObject(get);
  });
});

describe("trouble on the way", () => {
  it("a refused connection and an unknown host were certainly not written, and waiting may mend them", async () => {
    for (const endpoint of ["http://127.0.0.1:1", "http://no-such-host.invalid:9000"]) {
      const store = s3Store({ bucket: "jobs", endpoint });
      expect(await store.create("k", BODY)).toMatchObject(busy(true));
      expect(await store.get("k")).toMatchObject({
        ...unavailable,
        error: { message: expect.stringMatching(/ECONNREFUSED|ENOTFOUND|EAI_AGAIN/) as string },
      });
    }
  });

  it("a server without TLS behind https:// is named", async () => {
    const server = await scriptedServer();
    const store = s3Store({ bucket: "jobs", endpoint: server.endpoint.replace("http:", "https:") });
    expect(await store.get("k")).toMatchObject(access(/does not speak TLS/));
  });

  it("names by how much the clock is off", async () => {
    const store = await storeThatHears(
      xml(403, "RequestTimeTooSkewed", { headers: { date: new Date(Date.now() + 20 * 60_000).toUTCString() } }),
    );
    expect(await store.create("k", BODY)).toMatchObject(access(/(20\.0|19\.9) minutes behind the store's/));
  });

  it("missing credentials are named, with what to set", async () => {
    const { AWS_ACCESS_KEY_ID: id } = process.env;
    delete process.env["AWS_ACCESS_KEY_ID"];
    try {
      const store = await storeThatHears(bare(200, { etag: ETAG }));
      expect(await store.create("k", BODY)).toMatchObject(access(/AWS_ACCESS_KEY_ID/));
    } finally {
      process.env["AWS_ACCESS_KEY_ID"] = id;
    }
  });

  it("a missing region is named", async () => {
    const store = s3Store({ bucket: "jobs" });
    const { AWS_REGION: region, AWS_ENDPOINT_URL_S3: endpoint } = process.env;
    delete process.env["AWS_REGION"];
    delete process.env["AWS_ENDPOINT_URL_S3"];
    try {
      expect(await store.get("k")).toMatchObject(access(/AWS_REGION/));
    } finally {
      if (region !== undefined) process.env["AWS_REGION"] = region;
      if (endpoint !== undefined) process.env["AWS_ENDPOINT_URL_S3"] = endpoint;
    }
  });

  it("an expired session token is passing trouble until credentials were asked for anew, then it is said", async () => {
    const store = await storeThatHears(xml(400, "ExpiredToken"));
    expect(await store.create("k", BODY)).toMatchObject(busy(true));
    await expect.poll(() => store.create("k", BODY), { timeout: 5_000 }).toMatchObject(access(/session token has expired/));
  });
});

describe("reads", () => {
  it("shows body, ETag and both times", async () => {
    const store = await storeThatHears({ status: 200, headers: { etag: ETAG, "last-modified": MODIFIED }, body: "hello" });
    expect(await store.get("k")).toEqual({
      kind: "found",
      etag: ETAG,
      body: Buffer.from("hello"),
      dateMs: DATE_MS,
      lastModifiedMs: Date.parse(MODIFIED),
    } satisfies ReadResult);
  });

  it("tries passing trouble again, three times in all", async () => {
    const server = await scriptedServer((_, i) => (i < 2 ? bare(500) : { status: 200, headers: { etag: ETAG }, body: "x" }));
    const store = s3Store(`s3://jobs?endpoint=${server.endpoint}`);
    expect(await store.get("k")).toMatchObject({ kind: "found" });
    expect(store.stats()).toMatchObject({ get: 3, retries: 2, unavailable: 0 });
    server.script = () => bare(503);
    expect(await store.get("k")).toMatchObject(unavailable);
    expect(server.seen).toHaveLength(6);
  });

  it("tries nothing again that waiting can't mend", async () => {
    const server = await scriptedServer(() => xml(403, "AccessDenied"));
    const store = s3Store(`s3://jobs?endpoint=${server.endpoint}`);
    await store.get("k");
    await store.remove("k");
    await store.list("");
    expect(server.seen).toHaveLength(3);
  });

  it("list and remove say what is wrong as well", async () => {
    const denied = await storeThatHears(xml(403, "AccessDenied"));
    expect(await denied.list("")).toMatchObject(access(/allow s3:ListBucket/));
    expect(await denied.remove("k")).toMatchObject(access(/allow s3:DeleteObject/));
    const down = await storeThatHears(html(502));
    expect(await down.list("")).toMatchObject(unavailable);
    expect(await down.remove("k")).toMatchObject(unavailable);
    const noBucket = await storeThatHears(xml(404, "NoSuchBucket"));
    expect(await noBucket.remove("k")).toMatchObject(access(/create the bucket/));
    const garbage = await storeThatHears({ status: 200, headers: { "content-type": "text/html" }, body: "<html>hello" });
    expect(await garbage.list("")).toMatchObject({ kind: expect.stringMatching(/unavailable|page/) as string });
  });
});

describe("messages", () => {
  it("name store, key, status and code, and never a credential", async () => {
    const store = await storeThatHears(xml(403, "AccessDenied", { message: "no such luck" }));
    const result = await store.create("locks/a b", BODY);
    const text = result.kind === "denied" ? result.error.message : "";
    expect(text).toContain('the store s3://jobs/prod denied the put of "prod/locks/a b" (403 AccessDenied, request R1, "no such luck")');
    expect(text).not.toMatch(/AKIDEXAMPLE|secret/);
  });
});
