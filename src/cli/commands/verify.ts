/** `verify`: for a command that runs under a lease: is it still held, as the store says? One GET. */
import type { Command } from "commander";
import { ConfigError } from "../../errors.ts";
import { decodeRecord, MAX_RECORD_BYTES } from "../../record/codec.ts";
import { storeAgeMs } from "../../lease/timing.ts";
import { integer, oneWord } from "../frame/arguments.ts";
import type { Context, Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";
import { printable } from "../frame/output.ts";
import { keyOf, KINDS, type ViewKind } from "../view/catalogue.ts";

interface Flags {
  readonly kind?: ViewKind | undefined;
  readonly token?: number | undefined;
}

export function define(command: Command, run: Run): void {
  command
    .argument("[name]", "default: S3_CONSENSUS_NAME, as the command finds it")
    .option("--kind <kind>", `${KINDS.join(", ")} (default: S3_CONSENSUS_KIND, else lock)`, oneWord(KINDS))
    .option("--token <number>", "the fencing token (default: S3_CONSENSUS_TOKEN)", integer(1, Number.MAX_SAFE_INTEGER))
    .addHelpText(
      "after",
      "\nExit status 0: still held; 76: not any more. It extends nothing: between this answer and what you do next, time passes.\n",
    )
    .action((name: string | undefined, flags: Flags) => run((context) => verify(context, name, flags)));
}

async function verify(context: Context, named: string | undefined, flags: Flags): Promise<number> {
  const { env } = process;
  const name = named ?? env["S3_CONSENSUS_NAME"];
  const kind = flags.kind ?? KINDS.find((each) => each === env["S3_CONSENSUS_KIND"]) ?? "lock";
  const token = flags.token ?? Number(env["S3_CONSENSUS_TOKEN"]);
  if (name === undefined || !Number.isSafeInteger(token))
    throw new ConfigError("verify", [
      "there is no S3_CONSENSUS_NAME and S3_CONSENSUS_TOKEN here: run it inside a command, or say NAME and --token",
    ]);
  const key = keyOf(context.settings.prefix, kind, name);
  const store = await context.store();
  const read = await store.get(key, { maxBytes: MAX_RECORD_BYTES });
  if (read.kind === "unavailable" || read.kind === "denied") throw read.error;
  const reason = read.kind === "found" ? reasonAgainst(decodeRecord(key, read.body), token, read) : "there is no record";
  if (context.out.json) context.out.value({ held: reason === undefined, key, fencingToken: token, reason: reason ?? null });
  else if (reason !== undefined)
    context.err.line(`s3-consensus: ${printable(key)} (fencing token ${token}) is not held any more: ${printable(reason)}`);
  return reason === undefined ? EXIT.ok : EXIT.lost;
}

function reasonAgainst(
  record: ReturnType<typeof decodeRecord>,
  token: number,
  { dateMs, lastModifiedMs }: { readonly dateMs: number | undefined; readonly lastModifiedMs: number | undefined },
): string | undefined {
  if (record.fencingToken !== token) return `${record.holder} has fencing token ${record.fencingToken}`;
  if (record.state !== "held") return "it was released";
  if (record.session !== undefined || dateMs === undefined || lastModifiedMs === undefined) return undefined;
  const ageMs = dateMs - lastModifiedMs;
  return ageMs >= storeAgeMs(record, 1000) ? `it has not been renewed for ${Math.round(ageMs / 1000)} s` : undefined;
}
