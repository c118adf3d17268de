/** Loaded before a program (`node --import`): its wall clock is ahead by the milliseconds that a file says, read at each look. See wall-clock.ts. */
import { readFileSync } from "node:fs";

const file = process.env["S3_CONSENSUS_TEST_WALL_SHIFT_FILE"] ?? "";
const TrueDate = Date;

function shiftedNow(): number {
  return TrueDate.now() + Number(readFileSync(file, "utf8"));
}

globalThis.Date = new Proxy(TrueDate, {
  construct: (target, args: unknown[], newTarget) =>
    Reflect.construct(target, args.length === 0 ? [shiftedNow()] : args, newTarget) as Date,
  apply: () => new TrueDate(shiftedNow()).toString(),
  get: (target, name, receiver) => (name === "now" ? shiftedNow : (Reflect.get(target, name, receiver) as unknown)),
});
