/** A plan that was written to a file, or by hand: a replay that passes because nothing of it was understood would prove nothing. */
import { isRequestFault } from "../../../src/testing/sim/faults.ts";
import { FLAGS, type Plan, PROGRAM_FAULTS, STALLS, TAMPERING } from "./plan.ts";

/** Faults of machines, and of the store's answers about one key. */
const OTHER_KINDS = ["clock-rate", "wall-step", "pause", "freeze", "crash", "doubt"];
const KINDS: ReadonlySet<string> = new Set([...OTHER_KINDS, ...PROGRAM_FAULTS, ...FLAGS, ...TAMPERING, ...STALLS]);

/** @throws Error that says what is wrong with it. */
export function parsePlan(text: string): Plan {
  const plan: unknown = JSON.parse(text);
  if (!isObject(plan) || plan["format"] !== 1) throw new Error(`this is no plan of format 1${formatOf(plan)}`);
  const faults = faultsOf(plan);
  if (faults.length > 0) throw new Error(`this plan can't be run: ${faults.slice(0, 5).join("; ")}`);
  return plan as unknown as Plan;
}

type Fields = Readonly<Record<string, unknown>>;

function formatOf(plan: unknown): string {
  return isObject(plan) && plan["format"] !== undefined ? `, but of ${JSON.stringify(plan["format"])}` : "";
}

function faultsOf(plan: Fields): string[] {
  const of = (name: string): readonly unknown[] => (Array.isArray(plan[name]) ? plan[name] : []);
  const names = of("nodes").flatMap((node) => (isObject(node) && typeof node["name"] === "string" ? [node["name"]] : []));
  return [
    ...["seed", "safetyMs", "latestMs"].flatMap((name) => unless(isNumber(plan[name]), `${name} is no number`)),
    ...["keys", "nodes", "windows"].flatMap((name) => unless(Array.isArray(plan[name]), `${name} is no list`)),
    ...unless(typeof plan["boundedClocks"] === "boolean", "boundedClocks is neither true nor false"),
    ...unless(isObject(plan["profile"]), "profile is no object"),
    ...unless(isObject(plan["latency"]) && isNumber(plan["latency"]["minMs"]) && isNumber(plan["latency"]["meanMs"]), "latency is none"),
    ...unless(names.length > 0 && names.length === of("nodes").length, "it has no nodes, or one without a name"),
    ...of("nodes").flatMap((node, i) => unless(isObject(node) && isNumber(node["ttlMs"]) && isNumber(node["rate"]), `node ${i} is none`)),
    ...of("faces").flatMap((face, i) =>
      unless(isObject(face) && names.includes(String(face["node"])) && Array.isArray(face["keys"]), `face ${i} is none`),
    ),
    ...of("windows").flatMap((window, i) => windowFaults(window, names).map((fault) => `window ${i}: ${fault}`)),
  ];
}

function windowFaults(window: unknown, names: readonly string[]): string[] {
  if (!isObject(window)) return ["no object"];
  const { kind, node, from, to, x } = window;
  return [
    ...unless(typeof kind === "string" && (isRequestFault(kind) || KINDS.has(kind)), `no fault is called ${JSON.stringify(kind)}`),
    ...unless(node === "*" || names.includes(String(node)), `there is no node ${JSON.stringify(node)}`),
    ...unless(isNumber(from) && isNumber(to) && from <= to && isNumber(x), "from, to and x are not the numbers of a fault"),
  ];
}

function unless(holds: boolean, fault: string): string[] {
  return holds ? [] : [fault];
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
