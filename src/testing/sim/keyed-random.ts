/**
 * Randomness that is addressed by name. A draw belongs to (seed, what it is for), never to a place in one long stream: when a fault is taken
 * out of a plan, every other draw stays as it was, and that is what lets a failing plan shrink to the few faults that matter.
 */
import type { Random } from "../../clock/clock.ts";

/** Mixes one 32-bit word into a hash (the MurmurHash3 step). */
function mixWord(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);

/** A running 64-bit hash of numbers, strings and bytes. Not for secrets: it names a history, so that two runs can be compared. */
export class RunningHash {
  #a: number;
  #b: number;

  constructor(start = 0) {
    this.#a = start | 0;
    this.#b = (start ^ 0x9e3779b9) | 0;
  }

  number(value: number): this {
    float[0] = value;
    this.#word(words[0] ?? 0);
    this.#word(words[1] ?? 0);
    return this;
  }

  text(value: string): this {
    for (let i = 0; i < value.length; i++) this.#word(value.charCodeAt(i));
    this.#word(value.length ^ 0x5bd1e995);
    return this;
  }

  bytes(value: Uint8Array): this {
    let i = 0;
    for (; i + 4 <= value.length; i += 4) {
      this.#word((value[i] ?? 0) | ((value[i + 1] ?? 0) << 8) | ((value[i + 2] ?? 0) << 16) | ((value[i + 3] ?? 0) << 24));
    }
    for (; i < value.length; i++) this.#word(value[i] ?? 0);
    this.#word(value.length ^ 0x2545f491);
    return this;
  }

  /** Sixteen hexadecimal digits. */
  digest(): string {
    return hex(finish(this.#a)) + hex(finish(this.#b ^ this.#a));
  }

  /** Two words of seed material. */
  seeds(): readonly [number, number] {
    return [finish(this.#a), finish(this.#b ^ this.#a)];
  }

  #word(word: number): void {
    this.#a = mixWord(this.#a, word);
    this.#b = mixWord(this.#b, word ^ 0x3c6ef372);
  }
}

function hex(word: number): string {
  return word.toString(16).padStart(8, "0");
}

/** A small deterministic generator (Chris Doty-Humphrey's sfc32, public domain algorithm). */
export class KeyedRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #d = 1;

  constructor(seed: number, ...key: readonly (string | number)[]) {
    const hash = new RunningHash(seed);
    hash.number(seed);
    for (const part of key) {
      if (typeof part === "number") hash.number(part);
      else hash.text(part);
    }
    const [a, b] = hash.seeds();
    this.#a = a;
    this.#b = b;
    this.#c = (a ^ Math.imul(b, 0x9e3779b1)) | 0;
    for (let i = 0; i < 8; i++) this.#next();
  }

  #next(): number {
    const t = (this.#a + this.#b + this.#d) | 0;
    this.#d = (this.#d + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t >>> 0;
  }

  /** A number in [0, 1). */
  unit(): number {
    return this.#next() / 0x1_0000_0000;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#next() & 0xff);
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  /** A whole number in [0, below). */
  below(below: number): number {
    return Math.floor(this.unit() * below);
  }

  between(low: number, high: number): number {
    return low + this.unit() * (high - low);
  }

  /** Evenly spread over the magnitudes between `low` and `high`, so that small values are as likely as large ones. */
  magnitude(low: number, high: number): number {
    return low * (high / low) ** this.unit();
  }

  pick<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new RangeError("nothing to pick from");
    return value;
  }
}

/** An exponentially distributed delay with the given mean, from one unit draw; cut at twelve means. */
export function exponential(unit: number, mean: number): number {
  return Math.min(12, -Math.log1p(-unit)) * mean;
}
