/** The rules of `scheduler/ticks.ts` and its friends, broken. */
import { edit, TICKS_DOOR, TICKS_POLICY, TICKS_PROPERTIES, TICKS_ZONES, type TestedMutant } from "./files.ts";

const CRON_TICKS = "scheduler/cron-ticks.ts";
const ZONE = "clock/time-zone.ts";

export const TICKS: readonly TestedMutant[] = [
  {
    id: "ticks-keyed-by-local-time",
    breaks: "ticks: an answer is local time, not an instant",
    edits: [edit(CRON_TICKS, "return tick < segment.toMs ? tick : undefined;", "return tick < segment.toMs ? match : undefined;")],
    tests: [TICKS_POLICY, TICKS_PROPERTIES],
  },
  {
    id: "ticks-gap-invented-for-wildcard",
    breaks: "ticks: a wildcard hour gets a tick for what fell into a gap",
    edits: [edit(CRON_TICKS, '!policy.everyHour && policy.gap === "after"', 'policy.gap === "after"')],
    tests: [TICKS_POLICY],
  },
  {
    id: "ticks-second-pass-dropped-for-wildcard",
    breaks: "ticks: a wildcard hour loses the second pass of a repeated hour",
    edits: [edit(CRON_TICKS, '!policy.everyHour && policy.repeat === "first"', 'policy.repeat === "first"')],
    tests: [TICKS_POLICY],
  },
  {
    id: "ticks-gap-lost",
    breaks: "ticks: what fell into a gap is lost",
    edits: [edit(CRON_TICKS, "if (!this.#movesOutOfGaps || shownMs", "if (this.#movesOutOfGaps || shownMs")],
    tests: [TICKS_POLICY],
  },
  {
    id: "ticks-second-pass-backwards",
    breaks: "ticks: previous finds the second pass that next leaves out",
    edits: [edit(CRON_TICKS, "&& !(this.#firstPassOnly && match < segment.shownMs)", "")],
    tests: [TICKS_ZONES],
  },
  {
    id: "ticks-every-hour-is-any-star",
    breaks: "ticks: an hour field with a * anywhere follows real time",
    edits: [edit("scheduler/cron-text.ts", 'everyHour: hour.startsWith("*")', 'everyHour: hour.includes("*") || hour.includes("-")')],
    tests: [TICKS_POLICY],
  },
  {
    id: "ticks-kept-answer-too-long",
    breaks: "ticks: a kept answer is given at its own instant, too",
    edits: [edit("scheduler/ticks.ts", "afterMs < ahead.tick) return", "afterMs <= ahead.tick) return")],
    tests: [TICKS_PROPERTIES, TICKS_DOOR],
  },
  {
    id: "ticks-change-to-the-day",
    breaks: "ticks: a change of the clocks is placed at the end of its day",
    edits: [edit(ZONE, "while (other - low > 1) {", "while (other - low > 86_400_000) {")],
    tests: [TICKS_POLICY],
  },
  {
    id: "ticks-shown-forgotten",
    breaks: "ticks: a segment does not know what clocks showed before it",
    edits: [edit(ZONE, "shownMs = Math.max(shownMs, toMs + offsetMs);", "shownMs = toMs + this.#offsetAt(toMs);")],
    tests: [TICKS_POLICY],
  },
  {
    id: "ticks-machine-zone",
    breaks: "ticks: the default zone is the machine's",
    edits: [edit("scheduler/ticks.ts", 'timeZone: zoneName = "UTC"', 'timeZone: zoneName = "Asia/Tokyo"')],
    tests: [TICKS_DOOR],
  },
  {
    id: "ticks-H-by-nothing",
    breaks: "ticks: an H means the same for every task",
    edits: [edit("scheduler/cron-text.ts", "`${seed}\\n${field.name}`", "field.name")],
    tests: [TICKS_DOOR],
  },
];
