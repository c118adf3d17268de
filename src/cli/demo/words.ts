/** How the demo speaks of what its processes fight for. */
import type { Prize } from "./messages.ts";

export interface Words {
  /** The name that all of them use. One for every run against a store, so that a demo leaves no more than one small record behind. */
  readonly name: string;
  readonly title: string;
  /** "A leads", "A holds the lock". */
  readonly leads: string;
  readonly leadsNoLonger: string;
  readonly nobody: string;
  readonly nobodyTook: string;
  readonly waits: string;
  follows(holder: string): string;
  readonly twoLeaders: string;
  readonly noOverlap: string;
  /** The same, for a short line. */
  readonly neverTwo: string;
  readonly rival: string;
}

export const WORDS: Readonly<Record<Prize, Words>> = {
  election: {
    name: "demo",
    title: "one leadership",
    leads: "leads",
    leadsNoLonger: "leads no longer",
    nobody: "nobody leads",
    nobodyTook: "nobody was elected",
    waits: "waits",
    follows: (holder) => `follows ${holder}`,
    twoLeaders: "with two leaders",
    noOverlap: "at no moment did two processes believe that they lead",
    neverTwo: "never two that believe they lead",
    rival: 'leads "demo" on this store',
  },
  lock: {
    name: "demo",
    title: "one lock",
    leads: "holds the lock",
    leadsNoLonger: "holds it no longer",
    nobody: "nobody holds the lock",
    nobodyTook: "nobody got the lock",
    waits: "waits",
    follows: (holder) => `waits for ${holder}`,
    twoLeaders: "with two holders",
    noOverlap: "at no moment did two processes believe that they hold it",
    neverTwo: "never two that believe they hold it",
    rival: 'holds "demo" on this store',
  },
};
