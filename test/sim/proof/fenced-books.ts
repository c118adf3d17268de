/**
 * What really happened to the fenced objects of a world: every version in the order of the store. A put that resolved was applied, one that was
 * refused never was, older tokens write nothing, no two versions have equal bytes (I3, R1), what a pointer names is always there (F5), and a get
 * answers with what stood there while it went on.
 */
import type { SimProcess } from "../../../src/testing/sim/sim-node.ts";
import type { Attempt } from "../../../src/testing/sim/sim-store.ts";
import type { AppliedWrite } from "../../../src/testing/sim/sim-s3.ts";
import type { Arena } from "./arena.ts";

interface Pointer {
  readonly fencingToken: number;
  readonly leaseKey: string;
  readonly nonce: string;
  readonly inline?: string;
  readonly object?: string;
  readonly kept?: string;
}

interface Version {
  readonly token: number;
  /** The title of its body; undefined when it was opened, and never written. */
  readonly title: string | undefined;
  readonly atMs: number;
}

/** A get that is under way. */
export interface Reading {
  readonly key: string;
  readonly process: SimProcess;
  readonly sinceMs: number;
  /** The newest version that this process knew when it began. */
  readonly known: number;
}

/** So many earlier writes a pointer names. */
const NAMED = 8;
/** So often a reader reads the pointer anew whose body is gone. */
const LOOKS = 5;
const POINTERS = "fenced/";
const BODIES = "fenced-bodies/";
const decoder = new TextDecoder();

export class FencedBooks {
  readonly #arena: Arena;
  readonly #versions = new Map<string, Version[]>();
  /** Bodies that were ever applied, by their titles, and how many writes of their object came before. */
  readonly #applied = new Map<string, { readonly key: string; readonly at: number }>();
  /** Attempts of each body that were answered with nothing, and those that were refused. */
  readonly #lost = new Map<string, number>();
  readonly #refused = new Map<string, number>();
  /** Titles of large bodies, and whether a pointer ever named them, by their keys. */
  readonly #bodies = new Map<string, { readonly title: string; readonly process: SimProcess | undefined; named: boolean }>();
  /** The newest version that a process has written or read, by key. */
  readonly #known = new WeakMap<SimProcess, Map<string, number>>();
  readonly #readsMayBeStale: boolean;

  constructor(arena: Arena) {
    this.#arena = arena;
    this.#readsMayBeStale = arena.plan.windows.some((w) => w.kind === "stale-read");
    arena.s3.watch((write) => this.#write(write));
    arena.network.watch((stage, attempt) => {
      if (stage === "answered") this.#answered(attempt);
    });
  }

  /** A put of this body has resolved. */
  resolved(title: string, process: SimProcess): void {
    const applied = this.#applied.get(title);
    if (applied === undefined) return this.#arena.fail("I3", `a put of "${title}" resolved, and was never applied`);
    this.#knows(process, applied.key, applied.at);
    if ((this.#lost.get(title) ?? 0) > 0 && (this.#refused.get(title) ?? 0) > 0)
      this.#arena.coverage.saw("fenced write without a reply found to be its own");
  }

  /** A put of this body was refused: for ever. One whose reply was lost knows itself among the last so many writes. */
  refused(title: string): void {
    this.#arena.coverage.saw("fenced put refused");
    const applied = this.#applied.get(title);
    const since = applied === undefined ? 0 : this.#versionsOf(applied.key).length - applied.at;
    if (applied !== undefined && since <= NAMED)
      this.#arena.fail("I3", `a put of "${title}" was answered "fenced out", and had been applied`);
  }

  /** A get begins. */
  reads(name: string, process: SimProcess): Reading {
    const key = POINTERS + encodeURIComponent(name);
    return { key, process, sinceMs: this.#arena.world.nowMs, known: this.#known.get(process)?.get(key) ?? 0 };
  }

  /** What a get said: the very body of a version that was the present one at some moment of it, and none older than what its process knew. */
  read({ key, process, sinceMs, known }: Reading, said: { readonly title: string; readonly token: number } | undefined): void {
    const versions = this.#versionsOf(key);
    const isSaid = (v: Version): boolean => v.title === said?.title && (said === undefined || v.token === said.token);
    const isNow = (at: number): boolean => this.#readsMayBeStale || (versions[at]?.atMs ?? Infinity) >= sinceMs;
    // Version n is the present one until the one after it, which stands at n.
    let at = versions.length;
    while (at > 0 && !isSaid(versions[at - 1] as Version)) at--;
    const what = said === undefined ? "nothing" : `"${said.title}" under token ${said.token}`;
    if (at === 0 && (said !== undefined || known > 0)) return this.#arena.fail("I3", `${key}: a get said ${what}, which never stood there`);
    if (at < known) return this.#arena.fail("W7", `${key}: a get said ${what}, version ${at}, to a process that knew version ${known}`);
    if (!isNow(at)) return this.#arena.fail("I3", `${key}: a get said ${what}, which had been replaced before the get began`);
    this.#knows(process, key, at);
  }

  /** Whether a get may end because its body was gone at every look: so often it was replaced, or so old were the pointers that it read. */
  mayBeGone({ key, sinceMs }: Reading): boolean {
    return this.#readsMayBeStale || this.#versionsOf(key).filter((v) => v.atMs >= sinceMs).length >= LOOKS;
  }

  /** A process is about to die. */
  dies(process: SimProcess): void {
    for (const body of this.#bodies.values())
      if (body.process === process && !body.named) this.#arena.coverage.count("writers that died between a body and its pointer");
  }

  #versionsOf(key: string): Version[] {
    let versions = this.#versions.get(key);
    if (versions === undefined) this.#versions.set(key, (versions = []));
    return versions;
  }

  #knows(process: SimProcess, key: string, at: number): void {
    const known = this.#known.get(process) ?? new Map<string, number>();
    this.#known.set(process, known);
    known.set(key, Math.max(at, known.get(key) ?? 0));
  }

  #write(write: AppliedWrite): void {
    if (write.key.startsWith(BODIES)) this.#writeBody(write);
    if (!write.key.startsWith(POINTERS)) return;
    const { key, body, previous, by } = write;
    const now = pointerOf(body);
    const before = pointerOf(previous?.body);
    if (now === undefined) return this.#arena.fail("I3", `${key}: something that is no pointer was written`);
    const title = this.#titleOf(key, now);
    const versions = this.#versionsOf(key);
    versions.push({ token: now.fencingToken, title, atMs: this.#arena.world.nowMs });
    // An open keeps the body of who wrote it.
    if (title !== undefined && !this.#applied.has(title)) this.#applied.set(title, { key, at: versions.length });
    this.#arena.coverage.count("fenced objects written");
    if (before !== undefined && now.fencingToken < before.fencingToken)
      this.#arena.fail("I3", `${key}: token ${now.fencingToken} wrote after ${before.fencingToken}`);
    if (before !== undefined && now.nonce === before.nonce) this.#arena.fail("R1", `${key}: two versions with one nonce`);
    const owner = this.#arena.ledger.history(this.#arena.lockKey(now.leaseKey)).acquisitions.get(now.fencingToken)?.process;
    if (owner !== (by as Attempt | undefined)?.process)
      this.#arena.fail("I3", `${key}: token ${now.fencingToken} wrote, which another had acquired`);
  }

  /** F5: bodies are written once, and deleted only when nothing names them. */
  #writeBody({ key, body, previous, by }: AppliedWrite): void {
    const { coverage, s3 } = this.#arena;
    if (body !== undefined) {
      if (previous !== undefined) this.#arena.fail("F5", `${key}: a body was written over`);
      this.#bodies.set(key, {
        title: titleIn(decoder.decode(body.subarray(0, 200))),
        process: (by as Attempt | undefined)?.process,
        named: false,
      });
      return;
    }
    if (previous === undefined) return;
    const at = key.lastIndexOf("/");
    const pointer = pointerOf(s3.peek(POINTERS + key.slice(BODIES.length, at))?.body);
    const name = key.slice(at + 1);
    if (pointer?.object === name) return this.#arena.fail("F5", `${key}: the present body was deleted`);
    if (pointer?.kept === name) return this.#arena.fail("F5", `${key}: a body was deleted that is kept for its readers`);
    coverage.saw(
      this.#bodies.get(key)?.named === true ? "large body deleted when two had followed" : "large body that no pointer ever named deleted",
    );
  }

  /** The title of what a pointer names: it is there, or readers find nothing. */
  #titleOf(key: string, pointer: Pointer): string | undefined {
    if (pointer.inline !== undefined) return titleIn(atob(pointer.inline));
    if (pointer.object === undefined) return undefined;
    const body = `${BODIES}${key.slice(POINTERS.length)}/${pointer.object}`;
    if (this.#arena.s3.peek(body) === undefined) this.#arena.fail("F5", `${key}: it names a body that is not there: ${pointer.object}`);
    const known = this.#bodies.get(body);
    if (known !== undefined) known.named = true;
    return known?.title;
  }

  #answered({ operation, outcome }: Attempt): void {
    const { coverage } = this.#arena;
    if (!("key" in operation)) return;
    if (operation.kind === "get" && operation.key.startsWith(BODIES) && outcome?.kind === "reply" && outcome.reply.status === 404)
      coverage.count("bodies gone under their readers, who looked again");
    if (operation.kind !== "create" && operation.kind !== "replace") return;
    if (!operation.key.startsWith(POINTERS)) return;
    const pointer = pointerOf(operation.body);
    const title = pointer && this.#titleNamed(operation.key, pointer);
    if (title === undefined) return;
    const to = outcome?.kind !== "reply" ? this.#lost : outcome.reply.status === 412 ? this.#refused : undefined;
    to?.set(title, (to.get(title) ?? 0) + 1);
  }

  #titleNamed(key: string, { inline, object }: Pointer): string | undefined {
    if (inline !== undefined) return titleIn(atob(inline));
    return object === undefined ? undefined : this.#bodies.get(`${BODIES}${key.slice(POINTERS.length)}/${object}`)?.title;
  }
}

/** The first line of a body says which one it is; the rest only makes it large. */
export function titleIn(body: string): string {
  return body.split("\n", 1)[0] ?? "";
}

function pointerOf(body: Uint8Array | undefined): Pointer | undefined {
  if (body === undefined) return undefined;
  try {
    return JSON.parse(decoder.decode(body)) as Pointer;
  } catch {
    return undefined;
  }
}
