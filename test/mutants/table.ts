/**
 * What the unit tests must notice: every mutant of the simulator (`test/sim/proof/mutants.ts`), and more of their kind that no simulated run
 * can show, or not for certain. Each names the test files that should go red.
 */
import { RULES } from "../sim/proof/mutants.ts";
import { PROMISES } from "../sim/proof/promises.ts";
import { COMMAND_LINE } from "./command-line.ts";
import { CONTENDING } from "./contending.ts";
import {
  TIMING,
  JUDGE,
  SETTLE,
  SEEN,
  WRITE,
  TENANCY,
  ENDING,
  CONTEND,
  TAKEOVER,
  CALLBACKS,
  STOP,
  MANAGER,
  OBSERVE,
  OPTIONS,
  type TestedMutant,
} from "./files.ts";
import { FENCING } from "./fencing.ts";
import { HOLDING } from "./holding.ts";
import { LOCKS } from "./locks.ts";
import { PRUNING } from "./pruning.ts";
import { MENDING } from "./mending.ts";
import { SCHEDULING } from "./scheduling.ts";
import { SESSIONS } from "./session.ts";
import { TICKS } from "./ticks.ts";
import { RECORD_AND_WRITING } from "./writing.ts";

/** Where the simulator's mutants are caught by a unit test, too. */
const SHARED: Readonly<Record<string, readonly string[]>> = {
  "R1-same-nonce": [TENANCY, ENDING],
  "R2-same-node-same-token": [ENDING, CONTEND],
  "R2-token-restarts": [ENDING, CONTEND],
  "R3-release-deletes": [ENDING],
  "W1-refreshed-etag": [WRITE, CONTEND, TAKEOVER],
  "W3-unknown-is-applied": [WRITE],
  "W3-own-refusal-is-loss": [SETTLE, WRITE],
  "W3-only-the-last-nonce": [SETTLE, TENANCY],
  "W6-404-then-create": [WRITE, TENANCY, CONTEND],
  "W7-holder-believes-stale-reads": [SETTLE, TENANCY],
  "W7-contender-believes-stale-reads": [SEEN, CONTEND, TAKEOVER],
  "H1-from-the-reply": [TENANCY],
  "H1-from-the-read": [WRITE, TENANCY],
  "H2-monotonic-alone": [TENANCY],
  "H2-wall-alone": [TENANCY],
  "H3-no-timer": [TENANCY],
  "H3-answer-before-clock": [TENANCY],
  "H4-mine-is-applied": [TENANCY],
  "H4-flag-is-loss": [SETTLE, TENANCY],
  "H7-release-while-believing": [ENDING],
  "H7-release-under-work": [CALLBACKS, STOP],
  "H8-wait-keeps-nothing-alive": [CONTEND],
  "H9-owner-by-name": [CONTEND, TAKEOVER],
  "H10-lower-token-accepted": [SEEN, CONTEND],
  "C1-held-is-free": [CONTEND],
  "C2-no-drift-margin": [TIMING, JUDGE],
  "C2-my-own-ttl": [CONTEND, TAKEOVER, OPTIONS],
  "C2-from-before-the-read": [CONTEND, TAKEOVER],
  "C2-watch-not-restarted": [SEEN, CONTEND, TAKEOVER],
  "C3-no-rate-bound": [TIMING, JUDGE],
  "C3-no-second": [TIMING, JUDGE],
  "C3-no-skew": [TIMING, JUDGE],
  "C3-unfit-times-used": [CONTEND, TAKEOVER],
  "C3-unfit-times-told": [OBSERVE],
  "C3-stamps-of-two-versions": [SEEN],
  "C4-my-clock-and-its-date": [CONTEND, TAKEOVER],
  "I5-signal-last": [ENDING],
  "I5-two-ends": [MANAGER, CALLBACKS, STOP],
  "I8-listener-left": [TENANCY, ENDING],
  "C5-storm": [CONTEND],
  "S4-earlier-adopted": [CONTEND],
  "H6-observer-breaks-the-loop": [CALLBACKS],
  "H6-rejection-unhandled": [CALLBACKS],
  "H7-freed-under-on-demoted": [CALLBACKS],
  "H7-someone-elses-record-released": [ENDING],
  "W5-for-ever": [WRITE],
};

const SIMULATED = [...RULES, ...PROMISES];

/** Those that the simulator has and no unit test names yet: a fault of this table. */
export const UNLISTED: readonly string[] = SIMULATED.map((m) => m.id).filter((id) => SHARED[id] === undefined);

export const TESTED: readonly TestedMutant[] = [
  ...SIMULATED.flatMap((m) => {
    const tests = SHARED[m.id];
    // What masks it in the simulator is no excuse here: a unit test looks at the decision itself.
    return tests === undefined ? [] : [{ id: m.id, breaks: m.breaks, edits: m.edits, tests }];
  }),
  ...RECORD_AND_WRITING,
  ...HOLDING,
  ...CONTENDING,
  ...SCHEDULING,
  ...SESSIONS,
  ...TICKS,
  ...FENCING,
  ...LOCKS,
  ...PRUNING,
  ...MENDING,
  ...COMMAND_LINE,
];
