/** The little XML that S3 speaks: written with care, read only where a client sends some. */
import type { WireAnswer } from "./wire.ts";

export type XmlContent = string | readonly XmlNode[];
export type XmlNode = readonly [name: string, content: XmlContent];

export function toXml(root: string, content: XmlContent): Buffer {
  const tag = root === "Error" ? "Error" : `${root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`;
  return Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n<${tag}>${contentOf(content)}</${root}>`);
}

function contentOf(content: XmlContent): string {
  if (typeof content === "string") return escapeText(content);
  return content.map(([name, inner]) => `<${name}>${contentOf(inner)}</${name}>`).join("");
}

function escapeText(text: string): string {
  return text.replace(/[&<>"'\r\n\t]/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** The texts of all elements of a name. Enough for the lists of keys that clients send; nothing nests in those. */
export function textsOf(xml: string, name: string): readonly string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"))].map((match) => unescapeText(match[1] ?? ""));
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

function unescapeText(text: string): string {
  return text.replace(/&(#x[0-9a-f]+|#\d+|\w+);/gi, (whole, entity: string) => {
    if (!entity.startsWith("#")) return ENTITIES[entity] ?? whole;
    const isHex = entity[1] === "x" || entity[1] === "X";
    const point = isHex ? Number.parseInt(entity.slice(2), 16) : Number.parseInt(entity.slice(1), 10);
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}

export interface S3Error {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly key?: string | undefined;
  readonly bucket?: string | undefined;
  /** More elements, as `Region` or `Condition`. */
  readonly more?: readonly XmlNode[] | undefined;
  readonly headers?: readonly (readonly [string, string])[] | undefined;
}

export function errorAnswer(error: S3Error): WireAnswer {
  const nodes: XmlNode[] = [
    ["Code", error.code],
    ["Message", error.message],
  ];
  if (error.bucket !== undefined && error.bucket !== "") nodes.push(["BucketName", error.bucket]);
  if (error.key !== undefined && error.key !== "") nodes.push(["Key", error.key]);
  nodes.push(...(error.more ?? []));
  const headers = [["Content-Type", "application/xml"] as const, ...(error.headers ?? [])];
  return { status: error.status, headers, body: toXml("Error", nodes) };
}
