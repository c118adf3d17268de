/** `stepdown`: asks a leader to give leadership back. */
import type { Command } from "commander";
import { flagHolder, readRecord } from "../../lease/operate.ts";
import { MAX_TTL_MS } from "../../lease/timing.ts";
import { defaultNode } from "../../lease/wiring.ts";
import { duration, spelled } from "../frame/arguments.ts";
import { confirmed } from "../frame/confirm.ts";
import type { Context, Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { printable } from "../frame/output.ts";
import { keyOf } from "../view/catalogue.ts";

interface Flags {
  readonly to?: string | undefined;
  readonly cooldown?: number | undefined;
  readonly yes?: boolean | undefined;
}

export function define(command: Command, run: Run): void {
  command
    .argument("<name>", "the election's name")
    .option("--to <node>", "the node that may take it at once; the others wait a little")
    .option("--cooldown <duration>", "how long the leader stays out afterwards (default: its own, two polls)", duration(0, MAX_TTL_MS))
    .option("-y, --yes", "do not ask")
    .addHelpText(
      "after",
      "\nExit status 0: the leader will hear of it at its next renewal (a third of its ttl); 1: nobody leads, or you said no; 75: another's\nword to it waits to be read: try again.\n",
    )
    .action((name: string, flags: Flags) => run((context) => stepDown(context, name, flags)));
}

async function stepDown(context: Context, name: string, { to, cooldown: cooldownMs, yes }: Flags): Promise<number> {
  const { out, err, signals, settings } = context;
  const store = await context.store();
  const key = keyOf(settings.prefix, "election", name);
  const record = (await readRecord(store, key, signals.stop))?.record;
  if (record?.state !== "held") {
    if (out.json) out.value({ name, key, fencingToken: record?.fencingToken ?? null, outcome: "nobody" });
    err.line(`s3-consensus: nobody leads "${printable(name)}"`);
    return EXIT.no;
  }
  const { holder, fencingToken: token } = record;
  const toWhom = to === undefined ? "" : `, to ${printable(to)} first`;
  const staysOut = cooldownMs === undefined ? "" : `, and to stay out for ${spelled(cooldownMs)}`;
  const plan = `"${printable(name)}" is led by ${printable(holder)} (fencing token ${token}). It is asked to stop its work and to give leadership back${toWhom}${staysOut}.`;
  if (!(await confirmed(context, plan, yes))) return EXIT.no;
  const outcome = await flagHolder(store, key, {
    token,
    kind: "step-down",
    to,
    cooldownMs,
    signal: signals.stop,
    by: settings.node ?? defaultNode(),
  });
  if (out.json) out.value({ name, key, fencingToken: token, outcome });
  else
    out.line(
      outcome === "flagged"
        ? `${printable(holder)} will hear of it at its next renewal`
        : outcome === "busy"
          ? "another's word to it waits to be read: try again"
          : "it does not lead any more",
    );
  return outcome === "flagged" ? EXIT.ok : outcome === "busy" ? EXIT.held : EXIT.no;
}
