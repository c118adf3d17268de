import type { Bucket } from "./buckets.ts";
import type { WireAnswer, WireRequest } from "./wire.ts";
import { errorAnswer, toXml, type XmlNode } from "./xml.ts";

const MAX_KEYS = 1000;

/** ListObjectsV2, and the older form as far as clients still use it. */
export function listObjects(bucket: Bucket, request: WireRequest): WireAnswer {
  const { query } = request;
  const isV2 = query.get("list-type") === "2";
  const prefix = query.get("prefix") ?? "";
  const delimiter = query.get("delimiter") ?? "";
  const wanted = Number(query.get("max-keys") ?? MAX_KEYS);
  if (!Number.isInteger(wanted) || wanted < 0)
    return errorAnswer({ status: 400, code: "InvalidArgument", message: "Provided max-keys not an integer or within integer range" });
  const token = query.get("continuation-token");
  const after = token === null ? (query.get(isV2 ? "start-after" : "marker") ?? "") : Buffer.from(token, "base64url").toString();
  const encode =
    query.get("encoding-type") === "url"
      ? (key: string): string => encodeURIComponent(key).replace(/%2F/g, "/")
      : (key: string): string => key;
  const { entries, last, truncated } = page(bucket, { prefix, delimiter, after, limit: Math.min(wanted, MAX_KEYS) });
  const nodes: XmlNode[] = [
    ["Name", bucket.name],
    ["Prefix", encode(prefix)],
    ["MaxKeys", String(Math.min(wanted, MAX_KEYS))],
    ...(delimiter === "" ? [] : [["Delimiter", encode(delimiter)] as const]),
    ...(query.get("encoding-type") === "url" ? [["EncodingType", "url"] as const] : []),
    ["IsTruncated", String(truncated)],
    ...(isV2 ? [["KeyCount", String(entries.length)] as const] : [["Marker", encode(after)] as const]),
    ...(truncated
      ? [isV2 ? (["NextContinuationToken", Buffer.from(last).toString("base64url")] as const) : (["NextMarker", encode(last)] as const)]
      : []),
    ...entries.map((entry): XmlNode => {
      const object = entry.folder ? undefined : bucket.get(entry.name);
      if (object === undefined) return ["CommonPrefixes", [["Prefix", encode(entry.name)]]];
      return [
        "Contents",
        [
          ["Key", encode(entry.name)],
          ["LastModified", new Date(object.lastModifiedMs).toISOString()],
          ["ETag", `"${object.etag}"`],
          ["Size", String(object.body.length)],
          ["StorageClass", "STANDARD"],
        ],
      ];
    }),
  ];
  return { status: 200, headers: [["Content-Type", "application/xml"]], body: toXml("ListBucketResult", nodes) };
}

interface Entry {
  readonly name: string;
  readonly folder: boolean;
}

function page(
  bucket: Bucket,
  o: { readonly prefix: string; readonly delimiter: string; readonly after: string; readonly limit: number },
): { readonly entries: readonly Entry[]; readonly last: string; readonly truncated: boolean } {
  const entries: Entry[] = [];
  let last = o.after;
  const after = Buffer.from(o.after);
  for (const key of bucket.keys()) {
    if (!key.startsWith(o.prefix) || Buffer.compare(Buffer.from(key), after) <= 0) continue;
    const cut = o.delimiter === "" ? -1 : key.indexOf(o.delimiter, o.prefix.length);
    const name = cut < 0 ? key : key.slice(0, cut + o.delimiter.length);
    if (cut >= 0 && (entries.at(-1)?.name === name || (o.after !== "" && o.after.startsWith(name)))) {
      last = key;
      continue;
    }
    if (entries.length >= o.limit) return { entries, last, truncated: true };
    entries.push({ name, folder: cut >= 0 });
    last = key;
  }
  return { entries, last, truncated: false };
}
