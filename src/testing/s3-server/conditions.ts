/** What the conditions of a request say about an object, and how careless stores read them. Pure. */
import type { StoreFaults } from "./fault-rules.ts";
import type { StoredObject } from "./buckets.ts";
import type { WireAnswer, WireRequest } from "./wire.ts";
import { errorAnswer } from "./xml.ts";

type Headers = WireRequest["headers"];

/** `undefined`: go on. */
export function checkPut(request: WireRequest, object: StoredObject | undefined, ways: StoreFaults): WireAnswer | undefined {
  const { ifMatch, ifNoneMatch } = conditionsOf(request.headers, ways);
  if (ways.has("conditions-not-implemented") && (ifMatch !== undefined || ifNoneMatch !== undefined)) return notImplemented("conditions");
  if (ifNoneMatch !== undefined) {
    // S3 knows only the star on a PUT; "not one of these ETags" is not implemented there.
    if (ifNoneMatch !== "*") return notImplemented("If-None-Match");
    if (object !== undefined) return preconditionFailed("If-None-Match");
  }
  if (ifMatch === undefined) return undefined;
  if (object === undefined) {
    if (ways.has("if-match-creates")) return undefined;
    return ways.has("missing-is-412") ? preconditionFailed("If-Match") : noSuchKey(request);
  }
  return matches(ifMatch, object, ways) ? undefined : preconditionFailed("If-Match");
}

export function checkDelete(request: WireRequest, object: StoredObject | undefined, ways: StoreFaults): WireAnswer | undefined {
  if (ways.has("unconditional-delete")) return undefined;
  const { ifMatch } = conditionsOf(request.headers, ways);
  if (ifMatch === undefined) return undefined;
  if (ways.has("conditions-not-implemented")) return notImplemented("conditions");
  if (object === undefined) return noSuchKey(request);
  return ifMatch === "*" || matches(ifMatch, object, ways) ? undefined : preconditionFailed("If-Match");
}

/** For GET and HEAD. */
export function checkRead(request: WireRequest, object: StoredObject, ways: StoreFaults): WireAnswer | "not-modified" | undefined {
  const { ifMatch, ifNoneMatch } = conditionsOf(request.headers, ways);
  if (ifMatch !== undefined && ifMatch !== "*" && !ifMatch.split(",").some((tag) => matches(tag, object, ways))) {
    return preconditionFailed("If-Match");
  }
  if (ifNoneMatch === undefined) return undefined;
  const isSame = ifNoneMatch === "*" || ifNoneMatch.split(",").some((tag) => bare(tag) === object.etag);
  return isSame ? "not-modified" : undefined;
}

function conditionsOf(
  headers: Headers,
  ways: StoreFaults,
): { readonly ifMatch: string | undefined; readonly ifNoneMatch: string | undefined } {
  const ifMatch = headers["if-match"]?.trim();
  const isIgnored = ways.has("ignore-if-match") || (ifMatch === "" && ways.has("ignore-empty-if-match"));
  return {
    ifMatch: isIgnored ? undefined : ifMatch,
    ifNoneMatch: ways.has("ignore-if-none-match") ? undefined : headers["if-none-match"]?.trim(),
  };
}

function matches(tag: string, object: StoredObject, ways: StoreFaults): boolean {
  return ways.has("unquoted-only") ? tag.trim() === object.etag : bare(tag) === object.etag;
}

/** An ETag without its quotes. */
function bare(tag: string): string {
  return tag.trim().replace(/^"(.*)"$/, "$1");
}

export function noSuchKey(request: WireRequest): WireAnswer {
  return errorAnswer({ status: 404, code: "NoSuchKey", message: "The specified key does not exist.", key: request.key });
}

export function notImplemented(header: string): WireAnswer {
  const message = "A header you provided implies functionality that is not implemented";
  return errorAnswer({ status: 501, code: "NotImplemented", message, more: [["Header", header]] });
}

function preconditionFailed(condition: string): WireAnswer {
  const message = "At least one of the pre-conditions you specified did not hold";
  return errorAnswer({ status: 412, code: "PreconditionFailed", message, more: [["Condition", condition]] });
}
