import { drainFault, keyFaults, leaseMs, metadataFault, prefixFault, signalFault, WIRING_SPEC } from "../lease/face-options.ts";
import type { LeaseSource } from "../lease/lease-source.ts";
import { aBoolean, aFunction, aNumber, type Check, checkOptions, optionFaults, type OptionSpec, show, throwFaults } from "../options.ts";
import { MAX_RECORD_MS } from "../record/fields.ts";
import { nameFault } from "../record/keys.ts";
import type { HoldOptions } from "./api.ts";
import { bareName, markFault } from "./names.ts";

const inRecord: Check = aNumber("milliseconds", 0, MAX_RECORD_MS);

const TRY_SPEC: OptionSpec = {
  signal: signalFault,
  metadata: metadataFault,
  maxHoldMs: leaseMs(1),
  minHoldMs: inRecord,
  lockDelayMs: inRecord,
  askHolder: aBoolean,
  onAsked: aFunction,
  ephemeral: () => "none here: it decides which lock a name means, so it is an option of new Locks(…) itself",
};
const HOLD_SPEC: OptionSpec = { ...TRY_SPEC, waitMs: aNumber("milliseconds", 0, Number.MAX_SAFE_INTEGER) };

/** What `new Locks(options)` takes. */
export function checkLocks(given: unknown, source: OptionSpec): void {
  const { signal: _, ...defaults } = HOLD_SPEC;
  checkOptions("new Locks(options)", given, {
    ...WIRING_SPEC,
    drainMs: drainFault,
    prefix: prefixFault,
    ephemeral: aBoolean,
    defaults: (value) => {
      const faults = optionFaults(value, { ...defaults, ...source });
      return faults.length === 0 ? undefined : `options of a lock (${faults.join("; ")})`;
    },
  });
}

/** The options of one call, with the defaults of its face filled in. @throws ConfigError with every fault at once. */
export function holdOptions<O extends HoldOptions>(
  call: string,
  name: unknown,
  given: unknown,
  o: { readonly source: LeaseSource<O>; readonly defaults: O; readonly isTry: boolean },
): O {
  const { source, defaults } = o;
  const spec = { ...(o.isTry ? TRY_SPEC : HOLD_SPEC), ...source.spec };
  throwFaults(call, [...nameFaults(name, source), ...(given === undefined ? [] : optionFaults(given, spec))]);
  // An option that is given as undefined is left out: the default stands.
  const own = Object.fromEntries(Object.entries(given ?? {}).filter(([, value]) => value !== undefined));
  const options = { ...defaults, ...own } as O;
  throwFaults(call, source.faults(options));
  return options;
}

/** The name and options of a call that acquires nothing. */
export function checkCall(
  call: string,
  name: unknown,
  given: unknown,
  o: { readonly source: LeaseSource<never>; readonly spec?: OptionSpec | undefined },
): void {
  const options = given === undefined ? [] : optionFaults(given, { signal: signalFault, ...o.spec });
  throwFaults(call, [...nameFaults(name, o.source), ...options]);
}

function nameFaults(name: unknown, source: LeaseSource<never>): readonly string[] {
  const isText = typeof name === "string";
  const fault = nameFault(isText && source.ephemeral ? bareName(name) : name) ?? (isText ? markFault(source, name) : undefined);
  return fault === undefined ? keyFaults("key", source.keyOf(name as string)) : [`key is ${show(name)}: expected ${fault}`];
}
