import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { settingsOf, settingsOfUrl, type S3StoreOptions } from "../../src/store/s3-options.ts";

function faultsOf(call: () => unknown): { readonly faults: readonly string[]; readonly message: string } {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return error as ConfigError;
  }
  return { faults: [], message: "" };
}
const urlFaults = (url: string): readonly string[] => faultsOf(() => settingsOfUrl(url)).faults;

describe("s3:// URLs", () => {
  it("reads bucket, prefix and every parameter", () => {
    const url =
      "s3://jobs/a%20b/c?endpoint=http://127.0.0.1:9000&region=eu-west-3&pathStyle=false&etagQuoting=unquoted&requesterPays=true&" +
      "expectedBucketOwner=123456789012&requestTimeout=2.5s&probe=false";
    expect(settingsOfUrl(url)).toMatchObject({
      bucket: "jobs",
      prefix: "a b/c/",
      endpoint: "http://127.0.0.1:9000",
      region: "eu-west-3",
      pathStyle: false,
      etagQuoting: "unquoted",
      requesterPays: true,
      expectedBucketOwner: "123456789012",
      requestTimeoutMs: 2_500,
      probe: false,
    });
  });

  it("has defaults: AWS by the SDK's chain, another server with path style in us-east-1", () => {
    expect(settingsOfUrl("s3://jobs")).toMatchObject({
      prefix: "",
      endpoint: undefined,
      region: undefined,
      pathStyle: false,
      probe: true,
      requestTimeoutMs: 5_000,
    });
    expect(settingsOfUrl("s3://jobs?endpoint=https://minio.example")).toMatchObject({ region: "us-east-1", pathStyle: true });
    expect(settingsOfUrl("s3://jobs", { AWS_ENDPOINT_URL: "http://h:1" })).toMatchObject({
      endpoint: "http://h:1",
      region: "us-east-1",
      pathStyle: true,
    });
    expect(settingsOfUrl("s3://jobs", { AWS_ENDPOINT_URL: "http://h:1", AWS_ENDPOINT_URL_S3: "http://h:2" })).toMatchObject({
      endpoint: "http://h:2",
    });
  });

  it("is normalised: order, slashes, escapes and defaults do not count, and the result reads back as itself", () => {
    const urls = [
      "s3://jobs/prod?endpoint=http://h:9&probe=false",
      "s3://jobs/prod/?probe=false&endpoint=http%3A%2F%2Fh%3A9&region=us-east-1",
      "S3://jobs//prod?probe=false&endpoint=http://h:9&pathStyle=true&requestTimeout=5s&etagQuoting=auto&requesterPays=false",
    ].map((url) => settingsOfUrl(url).url);
    expect(new Set(urls)).toEqual(new Set(["s3://jobs/prod?endpoint=http://h:9&probe=false"]));
    for (const url of [
      "s3://jobs/a%20b%3F/%C3%BC?region=eu-west-1",
      "s3://jobs?endpoint=https://h/base&etagQuoting=quoted",
      "s3://b-u.c",
    ]) {
      expect(settingsOfUrl(settingsOfUrl(url).url)).toEqual(settingsOfUrl(url));
    }
  });

  it("takes ARNs of access points and Outposts access points", () => {
    const arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/leases";
    expect(settingsOfUrl(`s3://${arn}/prod/x`)).toMatchObject({ bucket: arn, prefix: "prod/x/", pathStyle: false });
    expect(settingsOfUrl(`s3://${arn}`)).toMatchObject({ bucket: arn, prefix: "" });
    const outpost = "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac5d28a6a232904/accesspoint/leases";
    expect(settingsOfUrl(`s3://${outpost}/p`)).toMatchObject({ bucket: outpost, prefix: "p/" });
    const colons = "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:leases";
    expect(settingsOfUrl(`s3://${colons}/p?endpoint=http://h:1`)).toMatchObject({ bucket: colons, prefix: "p/", pathStyle: false });
    expect(settingsOfUrl("s3://leases-abcdefgh-s3alias/p")).toMatchObject({ bucket: "leases-abcdefgh-s3alias" });
  });

  it.each([
    "s3://arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
    "s3://mfzwi23gnjvgw.mrap/p",
    "s3://mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com/p",
    "s3://jobs?endpoint=https://mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com",
  ])("refuses the Multi-Region Access Point %s, and says why", (url) => {
    expect(urlFaults(url).join("\n")).toMatch(/Multi-Region Access Point.*two (?:leaders|buckets)/);
  });

  it.each([
    ["http://jobs/prod", /scheme "http": expected s3:\/\/bucket\/prefix\?endpoint=/],
    ["jobs/prod", /no scheme: expected s3:\/\//],
    ["", /no scheme/],
    ["gs://jobs", /scheme "gs"/],
    ["s3://", /bucket is empty/],
    ["s3:///prefix", /bucket is empty/],
    ["s3://Jobs", /bucket is "Jobs": expected 3 to 63 lower-case/],
    ["s3://ab", /bucket is "ab"/],
    ["s3://a..b", /bucket is "a\.\.b"/],
    ["s3://192.168.1.1", /not an IP/],
    ["s3://under_score", /bucket is "under_score"/],
    ["s3://jobs:9000/p", /port "9000" after the bucket: the server belongs into \?endpoint=/],
    ["s3://jobs/p#x", /fragment/],
    ["s3://jobs/%00", /control characters/],
    ["s3://jobs/a%0Ab", /control characters/],
    [`s3://jobs/${"x".repeat(513)}`, /prefix has 513 bytes: at most 512/],
    [`s3://jobs/${"%C3%BC".repeat(257)}`, /prefix has 514 bytes/],
    ["s3://jobs/a/../b", /"\." or "\.\." part/],
    ["s3://jobs/a//b", /empty/],
    ["s3://jobs/%zz", /% that is no escape/],
    ["s3://jobs?endpoint=127.0.0.1:9000", /endpoint is "127\.0\.0\.1:9000": it has no scheme/],
    ["s3://jobs?endpoint=ftp://h", /its scheme is "ftp"/],
    ["s3://jobs?endpoint=http://h:99999", /its port is "99999"/],
    ["s3://jobs?endpoint=http://h:0", /its port is "0"/],
    ["s3://jobs?endpoint=http://h:port", /its port is "port"/],
    ["s3://jobs?endpoint=http://[::1]:x", /its port is "x"/],
    ["s3://jobs?endpoint=http://", /it is no URL/],
    ["s3://jobs?endpoint=http://h/?x=1", /query or a fragment/],
    ["s3://jobs?endpoint=", /"endpoint" has no value/],
    ["s3://jobs?endpiont=http://h", /unknown parameter "endpiont": did you mean "endpoint"\?/],
    ["s3://jobs?timeout=5s", /unknown parameter "timeout"/],
    ["s3://jobs?forcePathStyle=true", /unknown parameter "forcePathStyle"/],
    ["s3://jobs?region=eu west", /region is "eu west"/],
    ["s3://jobs?region=a&region=b", /"region" is given twice/],
    ["s3://jobs?pathStyle=yes", /pathStyle is "yes": expected true or false/],
    ["s3://jobs?pathStyle", /"pathStyle" has no value/],
    ["s3://jobs?etagQuoting=bare", /etagQuoting is "bare": expected one of "auto", "quoted", "unquoted"/],
    ["s3://jobs?requestTimeout=5", /requestTimeout is "5": expected a duration from 50ms to 30s/],
    ["s3://jobs?requestTimeout=31s", /requestTimeout is "31s"/],
    ["s3://jobs?expectedBucketOwner=12", /12 digits/],
    ["s3://arn:aws:s3:eu-west-1:123456789012:job/x", /ARN, but not of an access point/],
    ["s3://arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/x1x", /ARN, but not of an access point/],
  ])("%s is refused: %s", (url, fault) => {
    const faults = urlFaults(url);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(fault);
  });

  it("tells all faults of a URL in one message", () => {
    expect(urlFaults("s3://Bad_Bucket:1/a//b?endpoint=ftp://h&regoin=x&pathStyle=1&requestTimeout=soon&probe=no")).toHaveLength(8);
  });

  it.each([
    "s3://AKIDEXAMPLE:tops3cret@jobs/prod",
    "s3://jobs?accessKeyId=AKIDEXAMPLE&secretAccessKey=tops3cret",
    "s3://jobs?X-Amz-Credential=AKIDEXAMPLE&X-Amz-Signature=tops3cret",
    "s3://jobs?endpoint=http://AKIDEXAMPLE:tops3cret@h:9000",
    "http://AKIDEXAMPLE:tops3cret@jobs",
    "s3://jobs?session_token=tops3cret",
    "s3://jobs?unknown=tops3cret",
  ])("refuses %s and does not repeat the secret", (url) => {
    const { faults, message } = faultsOf(() => settingsOfUrl(url));
    expect(faults.length).toBeGreaterThan(0);
    expect(message).not.toMatch(/tops3cret|AKIDEXAMPLE:/);
  });
});

describe("the object form", () => {
  const faultsOfOptions = (options: unknown): readonly string[] => faultsOf(() => settingsOf(options as S3StoreOptions)).faults;
  const client = { send: () => Promise.resolve() };

  it("means the same as the URL", () => {
    const options: S3StoreOptions = { bucket: "jobs", prefix: "/prod/", endpoint: "http://h:9", requestTimeoutMs: 1_000, probe: false };
    expect(settingsOf(options)).toEqual(settingsOfUrl("s3://jobs/prod?endpoint=http://h:9&requestTimeout=1s&probe=false"));
  });

  it("takes a client, which says endpoint, region and path style itself", () => {
    expect(settingsOf({ bucket: "jobs", client }, { AWS_ENDPOINT_URL: "http://h" })).toMatchObject({ client, endpoint: undefined });
    expect(faultsOfOptions({ bucket: "jobs", client, endpoint: "http://h:1", region: "x", pathStyle: true })).toEqual([
      "endpoint is given beside client: set it on the client (endpoint), or leave client out",
      "region is given beside client: set it on the client (region), or leave client out",
      "pathStyle is given beside client: set it on the client (forcePathStyle), or leave client out",
    ]);
  });

  it("refuses wrong types, all at once", () => {
    const given = {
      bucket: 5,
      prefix: 1,
      client: {},
      requestTimeoutMs: "5000",
      pathStyle: "true",
      etagQuoting: true,
      probe: 0,
      clock: {},
      random: 1,
      secretAccessKey: "x",
    };
    expect(faultsOfOptions(given).map((f) => f.split(/ is |: /)[0])).toEqual([
      'unknown option "secretAccessKey"; known are bucket, prefix, client, endpoint, region, pathStyle, etagQuoting, requesterPays, expectedBucketOwner, requestTimeoutMs, probe, clock, random',
      "bucket",
      "prefix",
      "client",
      "pathStyle",
      "etagQuoting",
      "requestTimeoutMs",
      "probe",
      "clock",
      "random",
      "pathStyle",
    ]);
  });

  it.each([Number.NaN, -1, 0, 49, 30_001, 1.5, Number.POSITIVE_INFINITY])("refuses requestTimeoutMs %d", (requestTimeoutMs) => {
    expect(faultsOfOptions({ bucket: "jobs", requestTimeoutMs })).toHaveLength(1);
  });

  it.each([null, undefined, 5, []])("refuses %s", (options) => {
    expect(faultsOfOptions(options)).toHaveLength(1);
  });
});
