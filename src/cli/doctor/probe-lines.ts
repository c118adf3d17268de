/** The full probe as lines: which steps the store passed, which one stopped it, which were not reached. Pure. */
import { ConsensusError, StoreUnsafeError } from "../../errors.ts";
import { FULL_PROBE, PROBE_STEPS, type ProbeStep } from "../../store/probe.ts";
import { bad, type Check, good, remark, unknown } from "./check.ts";

const { createRounds, replaceRounds, writers } = FULL_PROBE;

const TITLES: Readonly<Record<ProbeStep, string>> = {
  "create-existing": "a create of what exists is refused",
  replace: "a replace with the ETag that stands is taken",
  "replace-stale": "a replace with a stale ETag is refused",
  "replace-missing": "a replace of a missing object is refused",
  "create-race": `${createRounds} races of ${writers} creates have one winner each`,
  "replace-race": `${replaceRounds} races of ${writers} replaces have one winner each`,
  times: "the store's Date and Last-Modified agree",
  "not-modified": "an unchanged object is answered 304",
};

/** Names that the probe and the client give to what they found, beside those of the steps. */
const SHOWN_AT: Readonly<Record<string, ProbeStep>> = {
  create: "create-existing",
  "conditional-write-not-supported": "create-existing",
  "refused-but-written": "replace-stale",
  "path-proof": "replace-stale",
  "stale-304": "not-modified",
};

const NOT_ON_THE_WIRE = "condition-not-on-the-wire";

export interface Probed {
  /** How often each step was passed. */
  readonly passed: ReadonlyMap<ProbeStep, number>;
  readonly remarks: readonly string[];
  readonly storeTime: boolean | undefined;
  readonly failure: ConsensusError | undefined;
}

export function probeLines(probed: Probed): readonly Check[] {
  const { failure, passed } = probed;
  const unsafe = failure instanceof StoreUnsafeError ? failure : undefined;
  const stopped = failure === undefined ? undefined : (stepOf(unsafe) ?? PROBE_STEPS.find((step) => !isPassed(step, passed)));
  const lines = PROBE_STEPS.map((step): Check => {
    const title = TITLES[step];
    if (step === stopped && failure !== undefined) {
      if (unsafe === undefined) return unknown(step, title, failure.message);
      return bad(step, title, unsafe.message, "do not use this store: two processes would believe that they hold the same lease");
    }
    if (!isPassed(step, passed)) return unknown(step, title, "not tried, because of what was found before");
    if (step === "times") return timesLine(probed, title);
    return noted(step, title, probed.remarks);
  });
  return [wireLine(unsafe), ...lines];
}

function wireLine(unsafe: StoreUnsafeError | undefined): Check {
  const [id, title] = ["wire", "conditions leave this process"] as const;
  if (unsafe?.step !== NOT_ON_THE_WIRE) return good(id, title, "each one was seen in the request's headers");
  return bad(id, title, unsafe.message, "install @aws-sdk/client-s3 3.700 or newer, and no middleware that takes headers away");
}

function stepOf(unsafe: StoreUnsafeError | undefined): ProbeStep | undefined {
  if (unsafe === undefined) return undefined;
  return SHOWN_AT[unsafe.step] ?? PROBE_STEPS.find((step) => step === unsafe.step);
}

function isPassed(step: ProbeStep, passed: ReadonlyMap<ProbeStep, number>): boolean {
  const rounds = step === "create-race" ? createRounds : step === "replace-race" ? replaceRounds : 1;
  return (passed.get(step) ?? 0) >= rounds;
}

function timesLine(probed: Probed, title: string): Check {
  if (probed.storeTime === true) return good("times", title, "a process that has just started can tell at once whether a holder is dead");
  const why = probed.remarks.find((text) => text.includes("Last-Modified")) ?? "they do not";
  return remark(
    "times",
    title,
    why,
    `leases are safe here all the same; a dead holder is seen only by watching for its ttl, takeover "store-time" and locks.oneShot are refused`,
  );
}

/** A remark of the probe stands at the line that it belongs to. */
function noted(step: ProbeStep, title: string, remarks: readonly string[]): Check {
  const about: Partial<Record<ProbeStep, string>> = { replace: "quotes", "create-race": "s3:DeleteObject", "not-modified": "304" };
  const word = about[step];
  const text = word === undefined ? undefined : remarks.find((r) => r.includes(word));
  if (text === undefined) return good(step, title);
  return step === "replace"
    ? good(step, title, text)
    : remark(
        step,
        title,
        text,
        step === "not-modified" ? "choose a longer pollMs if traffic costs" : "allow s3:DeleteObject for a full verdict",
      );
}
