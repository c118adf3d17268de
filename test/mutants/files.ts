import type { Edit, Mutant } from "../sim/proof/mutants.ts";

export interface TestedMutant extends Mutant {
  /** The test files that should go red. */
  readonly tests: readonly string[];
}

export const edit = (file: string, find: string, put: string): Edit => ({ file: `src/${file}`, find, put });

export const CODEC = "test/record/codec.test.ts";
export const TIMING = "test/lease/timing.test.ts";
export const JUDGE = "test/lease/judge.test.ts";
export const SETTLE = "test/lease/settle.test.ts";
export const SEEN = "test/lease/observations.test.ts";
export const WRITE = "test/lease/write.test.ts";
export const TENANCY = "test/lease/tenancy.test.ts";
export const ENDING = "test/lease/ending.test.ts";
export const CONTEND = "test/lease/contend.test.ts";
export const TAKEOVER = "test/lease/takeover.test.ts";
export const MANAGER = "test/election/manager.test.ts";
export const CALLBACKS = "test/election/callbacks.test.ts";
export const STOP = "test/election/stop.test.ts";
export const STEP_DOWN = "test/election/step-down.test.ts";
export const CAMPAIGN = "test/election/campaign.test.ts";
export const OBSERVE = "test/election/observe.test.ts";
export const OPTIONS = "test/election/options.test.ts";
export const HEALTH = "test/election/health.test.ts";
export const TICKS_DOOR = "test/scheduler/ticks-door.test.ts";
export const TICKS_POLICY = "test/scheduler/ticks-policy.test.ts";
export const TICKS_PROPERTIES = "test/scheduler/ticks-properties.test.ts";
export const TICKS_ZONES = "test/scheduler/ticks-zones.test.ts";
export const POINTER = "test/fencing/pointer.test.ts";
export const BAR = "test/fencing/bar.test.ts";
export const FENCED = "test/fencing/fenced-object.test.ts";
export const BODIES = "test/fencing/bodies.test.ts";
