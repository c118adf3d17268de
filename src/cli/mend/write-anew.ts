/** How `repair` and `accept-regression` write, and what they say about it. */
import { mend, type Mended } from "../../lease/mend.ts";
import { watchMs } from "../../lease/timing.ts";
import { defaultNode } from "../../lease/wiring.ts";
import type { ObjectStore } from "../../store/object-store.ts";
import type { Context } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { durationText, printable } from "../frame/output.ts";
import type { ViewKind } from "../view/catalogue.ts";
import { recordText } from "../view/earlier.ts";
import type { Survey } from "./survey.ts";

export interface Mending {
  readonly kind: ViewKind;
  readonly name: string;
  readonly found: Survey;
  readonly fencingToken: number;
  readonly ttlMs: number;
  readonly keep?: ((bytes: Uint8Array) => Promise<void>) | undefined;
  readonly copyAt?: string | undefined;
}

export function waitText(ttlMs: number): string {
  return `For ${durationText(watchMs({ ttlMs, marginMs: 0 }))} it has to stay as it is, so that nobody believes in it any more.`;
}

export async function writeAnew(context: Context, store: ObjectStore, o: Mending): Promise<number> {
  const { out, err, signals, settings } = context;
  const { kind, name, found, fencingToken, ttlMs, copyAt } = o;
  const { key, standing, remains } = found;
  const by = settings.node ?? defaultNode();
  const end = await mend(store, key, { seen: standing, remains, fencingToken, ttlMs, keep: o.keep, by, signal: signals.stop });
  const mended = end.kind === "mended";
  if (out.json) out.value({ kind, name, key, fencingToken, outcome: end.kind, copy: mended ? (copyAt ?? null) : null });
  else (mended ? out : err).line(`${kind} "${printable(name)}": ${textOf(end, mended ? copyAt : undefined)}`);
  return statusOf(end);
}

function textOf(end: Mended, copyAt: string | undefined): string {
  switch (end.kind) {
    case "mended":
      return `free, the next one gets fencing token ${end.fencingToken + 1}${copyAt === undefined ? "" : `; what stood there is in ${printable(copyAt)}`}`;
    case "changed":
      return `left as it is: it was changed meanwhile, ${end.record === undefined ? "and is no record" : printable(recordText(end.record))}`;
    case "session-lives":
      return (
        `left as it is: the session ${printable(end.session.member)} of ${printable(end.holder)} lives, and may believe in it. End that process, or: ` +
        `s3-consensus force-unlock --kind member ${end.session.member.split("/").at(-1) ?? ""} --token ${end.session.token}`
      );
    case "refused":
      return "left as it is: the store takes neither a replacement nor a new object in its place";
    case "unknown":
      return "not known: the store did not say whether it was written. Look at it (show), and try again";
  }
}

function statusOf({ kind }: Mended): number {
  if (kind === "mended") return EXIT.ok;
  return kind === "changed" || kind === "session-lives" ? EXIT.held : EXIT.unavailable;
}
