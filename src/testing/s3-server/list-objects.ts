/** ListObjectsV2, and the older list that some clients still send. */
import { toIso } from "../../clock/calendar.ts";
import type { Bucket } from "./buckets.ts";
import type { WireAnswer, WireRequest } from "./wire.ts";
import { sentTag } from "./object-operations.ts";
import type { StoreFaults } from "./fault-rules.ts";
import { errorAnswer, toXml, type XmlNode } from "./xml.ts";

/** One line of a list: a key, or what all keys below a delimiter have in common. */
interface Row {
  readonly key: string;
  readonly isCommon: boolean;
}

const MAX_KEYS = 1_000;

export function listObjects(request: WireRequest, bucket: Bucket, ways: StoreFaults): WireAnswer {
  const { query } = request;
  const isV2 = query.get("list-type") === "2";
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const said = query.get("max-keys");
  if (said !== null && !/^\d{1,10}$/.test(said)) return invalid("max-keys", said);
  const maxKeys = Math.min(MAX_KEYS, Number(said ?? MAX_KEYS));
  const token = query.get("continuation-token");
  const after = isV2 ? (token === null ? (query.get("start-after") ?? "") : fromToken(token)) : (query.get("marker") ?? "");
  if (after === undefined) return invalid("continuation-token", token ?? "");
  const { rows, isTruncated } = pageOf(bucket.keys(), { prefix, delimiter, after, maxKeys });
  const asSent = query.get("encoding-type") === "url" ? urlEncoded : (text: string): string => text;
  const last = rows.at(-1)?.key ?? "";
  const nodes: XmlNode[] = [
    ["Name", bucket.name],
    ["Prefix", asSent(prefix)],
    ["MaxKeys", String(maxKeys)],
    ["IsTruncated", String(isTruncated)],
  ];
  if (delimiter !== "") nodes.push(["Delimiter", asSent(delimiter)]);
  if (query.get("encoding-type") === "url") nodes.push(["EncodingType", "url"]);
  if (isV2) {
    nodes.push(["KeyCount", String(rows.length)]);
    if (token !== null) nodes.push(["ContinuationToken", token]);
    if (query.get("start-after") !== null) nodes.push(["StartAfter", asSent(query.get("start-after") ?? "")]);
    if (isTruncated) nodes.push(["NextContinuationToken", toToken(last)]);
  } else {
    nodes.push(["Marker", asSent(after)]);
    if (isTruncated) nodes.push(["NextMarker", asSent(last)]);
  }
  for (const row of rows) nodes.push(rowNode(row, bucket, ways, asSent));
  return { status: 200, headers: [["Content-Type", "application/xml"]], body: toXml("ListBucketResult", nodes) };
}

interface PageQuery {
  readonly prefix: string;
  readonly delimiter: string;
  /** Rows up to and with this one are left out. */
  readonly after: string;
  readonly maxKeys: number;
}

function pageOf(
  keys: readonly string[],
  { prefix, delimiter, after, maxKeys }: PageQuery,
): { readonly rows: readonly Row[]; readonly isTruncated: boolean } {
  const rows: Row[] = [];
  if (maxKeys === 0) return { rows, isTruncated: false };
  let common: string | undefined;
  const start = Buffer.from(after);
  for (const key of keys) {
    if (!key.startsWith(prefix)) continue;
    const cut = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length);
    const row = cut < 0 ? { key, isCommon: false } : { key: key.slice(0, cut + delimiter.length), isCommon: true };
    if (row.isCommon && row.key === common) continue;
    if (row.isCommon) common = row.key;
    if (after !== "" && Buffer.compare(Buffer.from(row.key), start) <= 0) continue;
    if (rows.length === maxKeys) return { rows, isTruncated: true };
    rows.push(row);
  }
  return { rows, isTruncated: false };
}

function rowNode(row: Row, bucket: Bucket, ways: StoreFaults, asSent: (text: string) => string): XmlNode {
  const object = bucket.get(row.key);
  if (row.isCommon || object === undefined) return ["CommonPrefixes", [["Prefix", asSent(row.key)]]];
  return [
    "Contents",
    [
      ["Key", asSent(row.key)],
      ["LastModified", toIso(Math.floor(object.lastModifiedMs / 1_000) * 1_000)],
      ["ETag", sentTag(object, ways)],
      ["Size", String(object.body.length)],
      ["StorageClass", "STANDARD"],
    ],
  ];
}

function invalid(name: string, value: string): WireAnswer {
  return errorAnswer({ status: 400, code: "InvalidArgument", message: `${name}: ${JSON.stringify(value.slice(0, 200))} is not valid` });
}

/** As S3 encodes keys in lists: all but unreserved characters and the slash, a space as "+". */
function urlEncoded(text: string): string {
  return encodeURIComponent(text).replace(/%2F/g, "/").replace(/%20/g, "+");
}

/** Clients must take the token as it is, so it does not look like a key. */
function toToken(key: string): string {
  return Buffer.from(`after:${key}`).toString("base64url");
}

function fromToken(token: string): string | undefined {
  const text = Buffer.from(token, "base64url").toString();
  return text.startsWith("after:") ? text.slice("after:".length) : undefined;
}
