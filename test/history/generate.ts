/**
 * Good histories by construction: clients work on one object of an atomic store, over a network that delays, loses, repeats and holds back.
 * Each request has the moment at which the store carried it out, so that a history can be bad only if this file is.
 */
import type { Attempt, Belief, FencedWrite } from "../../src/testing/history/index.ts";
import { randomOf } from "../support/random.ts";

export interface GenerateOptions {
  readonly seed: number;
  readonly clients?: number;
  readonly requests?: number;
  /** How often something goes wrong with a request, 0 to 1. */
  readonly trouble?: number;
  /** How many times somebody from outside overwrites or deletes. */
  readonly interventions?: number;
}

export interface Generated {
  readonly attempts: Attempt[];
  readonly beliefs: Belief[];
  readonly fenced: FencedWrite[];
}

interface Version {
  readonly etag: string;
  readonly nonce: string;
  readonly fencingToken: number;
  readonly state: "held" | "released";
  readonly instance: string;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly act: () => void;
}

export const KEY = "locks/elections/a";

export function generate(options: GenerateOptions): Generated {
  return new Run(options).go();
}

class Run {
  readonly #random: () => number;
  readonly #options: Required<GenerateOptions>;
  readonly #queue: Event[] = [];
  readonly #attempts: Attempt[] = [];
  readonly #acquisitions: { readonly version: Version; readonly node: string; readonly landedMs: number }[] = [];
  readonly #all: Version[] = [];
  #current: Version | undefined;
  #nowMs = 1000;
  #order = 0;
  #sent = 0;
  #etags = 0;

  constructor(options: GenerateOptions) {
    this.#options = { clients: 3, requests: 60, trouble: 0.3, interventions: 0, ...options };
    this.#random = randomOf(options.seed);
  }

  go(): Generated {
    for (let i = 0; i < this.#options.clients; i++) this.#think(`n${i}`, undefined);
    for (let i = 0; i < this.#options.interventions; i++) this.#at(20 + 60 * i + 50 * this.#random(), () => this.#intervene());
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#nowMs = next.atMs;
      next.act();
    }
    this.#attempts.sort((a, b) => a.sentMs - b.sentMs);
    return { attempts: this.#attempts, ...this.#consequences() };
  }

  #next(): Event | undefined {
    let best = 0;
    for (const [i, event] of this.#queue.entries()) {
      const first = this.#queue[best];
      if (first !== undefined && (event.atMs < first.atMs || (event.atMs === first.atMs && event.order < first.order))) best = i;
    }
    return this.#queue.splice(best, 1)[0];
  }

  #at(inMs: number, act: () => void): void {
    this.#queue.push({ atMs: this.#nowMs + inMs, order: this.#order++, act });
  }

  #think(client: string, known: Version | "absent" | undefined): void {
    if (this.#sent >= this.#options.requests) return;
    this.#sent++;
    this.#at(this.#random() * 10, () => {
      if (known === undefined || this.#random() < 0.3) this.#read(client, known);
      else this.#write(client, known);
    });
  }

  #read(client: string, known: Version | "absent" | undefined): void {
    const condition = known !== undefined && known !== "absent" && this.#random() < 0.5 ? known.etag : undefined;
    this.#request({ key: KEY, kind: "read", client, condition }, () => {
      const found = this.#current;
      if (found === undefined) return { fields: { outcome: "absent", status: 404 }, learned: "absent" as const };
      if (found.etag === condition) return { fields: { outcome: "not-modified", status: 304, etag: found.etag }, learned: found };
      return { fields: { outcome: "found", status: 200, ...found }, learned: found };
    });
  }

  #write(client: string, known: Version | "absent"): void {
    const version = this.#follow(client, known);
    const request =
      known === "absent"
        ? { key: KEY, kind: "create" as const, client }
        : { key: KEY, kind: "replace" as const, client, condition: known.etag };
    const { etag, ...written } = version;
    this.#request({ ...request, ...written }, () => {
      if (this.#current?.etag !== (known === "absent" ? undefined : known.etag))
        return { fields: { outcome: "refused", status: 412 }, learned: undefined };
      this.#current = version;
      this.#all.push(version);
      const acquired = known === "absent" || known.fencingToken !== version.fencingToken;
      if (acquired) this.#acquisitions.push({ version, node: client, landedMs: this.#nowMs });
      return { fields: { outcome: "applied", status: 200, etag }, learned: version };
    });
  }

  #follow(client: string, known: Version | "absent"): Version {
    const id = this.#etags++;
    const names = { etag: `"e${id}"`, nonce: `nonce${id}`, instance: client };
    if (known === "absent") return { ...names, fencingToken: 1, state: "held" };
    const mine = known.instance === client && known.state === "held";
    if (mine) return { ...names, fencingToken: known.fencingToken, state: this.#random() < 0.3 ? "released" : "held" };
    return { ...names, fencingToken: known.fencingToken + 1, state: "held" };
  }

  /** Sends it once, or by trouble twice, late, not at all, or without an answer; the client goes on with the first answer or after its patience. */
  #request(
    what: Omit<Attempt, "type" | "outcome" | "sentMs">,
    carryOut: () => { readonly fields: Partial<Attempt> & Pick<Attempt, "outcome">; readonly learned: Version | "absent" | undefined },
  ): void {
    const trouble = this.#random() < this.#options.trouble ? this.#random() : 1;
    const times = trouble < 0.25 ? 2 : 1;
    const client = what.client as string;
    let told = false;
    const goOn = (learned: Version | "absent" | undefined): void => {
      if (!told) this.#think(client, learned);
      told = true;
    };
    for (let i = 0; i < times; i++) {
      // The second is the client's own, after some patience.
      const patienceMs = i * 8 * this.#random();
      const sentMs = this.#nowMs + patienceMs;
      const lost = trouble >= 0.25 && trouble < 0.4;
      const mute = trouble >= 0.4 && trouble < 0.7;
      const late = trouble >= 0.7 && trouble < 1;
      const nothing: Attempt = { type: "attempt", ...what, outcome: what.kind === "read" ? "nothing" : "unknown", sentMs };
      if (lost) this.#attempts.push(nothing);
      else
        this.#at(patienceMs + this.#random() * (late ? 100 : 5), () => {
          const { fields, learned } = carryOut();
          if (late || mute) {
            this.#attempts.push(nothing);
            return;
          }
          this.#at(this.#random() * 5, () => {
            this.#attempts.push({ type: "attempt", ...what, ...fields, sentMs, answeredMs: this.#nowMs });
            goOn(learned);
          });
        });
    }
    this.#at(12, () => goOn(undefined));
  }

  #intervene(): void {
    const old = this.#all[Math.floor(this.#random() * this.#all.length)];
    const remove = old === undefined || this.#random() < 0.4;
    const sentMs = this.#nowMs;
    this.#at(this.#random() * 3, () => {
      const version = remove || old === this.#current ? undefined : old;
      this.#current = version;
      this.#at(this.#random() * 3, () => {
        const what = version === undefined ? ({ kind: "delete" } as const) : ({ kind: "overwrite", ...version } as const);
        this.#attempts.push({ type: "attempt", key: KEY, ...what, client: "outside", outcome: "applied", sentMs, answeredMs: this.#nowMs });
      });
    });
  }

  /** Beliefs that end before the next acquisition lands, and what their holders wrote meanwhile. */
  #consequences(): { readonly beliefs: Belief[]; readonly fenced: FencedWrite[] } {
    const beliefs: Belief[] = [];
    const fenced: FencedWrite[] = [];
    if (this.#options.interventions > 0) return { beliefs, fenced };
    for (const [i, { version, node, landedMs }] of this.#acquisitions.entries()) {
      const untilMs = this.#acquisitions[i + 1]?.landedMs ?? landedMs + 20;
      const { fencingToken } = version;
      const [fromMs, toMs] = [landedMs + (untilMs - landedMs) * 0.2, landedMs + (untilMs - landedMs) * (0.3 + 0.7 * this.#random())];
      beliefs.push({ type: "belief", key: KEY, node, fencingToken, fromMs, toMs });
      fenced.push({ type: "fenced", key: KEY, node, fencingToken, accepted: true, atMs: toMs });
      const older = this.#acquisitions[i - 1];
      if (older !== undefined && this.#random() < 0.2)
        fenced.push({ type: "fenced", key: KEY, node: older.node, fencingToken: older.version.fencingToken, accepted: false, atMs: toMs });
    }
    return { beliefs, fenced };
  }
}
