/** `doctor`: can this bucket be trusted at all? */
import { type Command, Option } from "commander";
import { ConfigError, StoreAccessError, StoreUnavailableError } from "../../errors.ts";
import { MAX_TTL_MS, MIN_TTL_MS } from "../../lease/timing.ts";
import { openStore } from "../../store/open-store.ts";
import { settingsOfUrl } from "../../store/s3-options.ts";
import { S3Store } from "../../store/s3-store.ts";
import { examine, type Examination } from "../doctor/examination.ts";
import { printExamination, reportText, type Verdict } from "../doctor/text.ts";
import { duration, integer, spelled } from "../frame/arguments.ts";
import type { Context, Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";

interface Flags {
  readonly save?: boolean | undefined;
  readonly report?: boolean | undefined;
  readonly ttl: number;
  readonly nodes: number;
}

/** The default of an election. */
const DEFAULT_TTL_MS = 15_000;

const HELP = `
Runs the whole probe against the bucket (about 800 requests, some seconds): every condition alone, then 20 races of creates and 20 of
replaces with 16 writers each, as some stores fail only there; then latency, and what the bucket is set to. Uses keys of its own below the
store's prefix and removes them again. Ends with 0 (good), 1 (usable, with remarks), 78 (must not be used), 77 (no access), 69 (no answer).
`;

export function define(command: Command, run: Run): void {
  command
    .argument("[store]", "s3://bucket/prefix?endpoint=…, in the place of --store")
    .option("--save", "keep the result in the bucket as the verdict that every process believes for 30 days")
    .option("--report", "print a report to send in, without the names of bucket and endpoint")
    .addOption(
      new Option("--ttl <duration>", "for the estimates of cost and versions")
        .argParser(duration(MIN_TTL_MS, MAX_TTL_MS))
        .default(DEFAULT_TTL_MS, spelled(DEFAULT_TTL_MS)),
    )
    .option("--nodes <number>", "for the estimate of cost", integer(1, 100_000), 3)
    .addHelpText("after", HELP)
    .action((store: string | undefined, flags: Flags) => run((context) => doctor(context, store, flags)));
}

async function doctor(context: Context, named: string | undefined, flags: Flags): Promise<number> {
  const { out, err, signals } = context;
  const url = named ?? context.settings.store;
  const store = url === undefined ? await context.store() : openStore(url);
  if (!(store instanceof S3Store)) throw new ConfigError("doctor", [`${store.url} is no S3 store: there is nothing to examine`]);
  const bucket = settingsOfUrl(url ?? store.url);
  const progress = (text: string): void => {
    if (err.isTerminal) err.sink.write(`\r\u001B[K${err.style("dim", text)}`);
  };
  let examined: Examination;
  try {
    const { ttl: ttlMs, nodes, save = false } = flags;
    examined = await examine(store, bucket, { ttlMs, nodes, save, signal: signals.stop, progress });
  } finally {
    if (err.isTerminal) err.sink.write("\r\u001B[K");
  }
  const verdict = verdictOf(examined);
  if (out.json) out.value(jsonOf(store.url, examined, verdict));
  else if (flags.report === true) out.line(reportText(examined, verdict, [store.url, bucket.bucket, bucket.prefix, bucket.endpoint ?? ""]));
  else printExamination(out, examined, verdict);
  return STATUS[verdict];
}

const STATUS: Readonly<Record<Verdict, number>> = {
  good: EXIT.ok,
  remarks: EXIT.no,
  unsafe: EXIT.unsafe,
  "no-access": EXIT.access,
  unavailable: EXIT.unavailable,
};

function verdictOf({ checks, failure }: Examination): Verdict {
  if (failure instanceof StoreAccessError) return "no-access";
  if (failure instanceof StoreUnavailableError) return "unavailable";
  if (failure !== undefined || checks.some((c) => c.verdict === "bad")) return "unsafe";
  return checks.some((c) => c.verdict === "remark") ? "remarks" : "good";
}

function jsonOf(store: string, examined: Examination, verdict: Verdict): object {
  const { checks, latency, cost, failure, saved, requests } = examined;
  return {
    store,
    verdict,
    checks,
    latency: latency ?? null,
    cost,
    requests,
    saved,
    error: failure === undefined ? null : { code: failure.code, message: failure.message },
  };
}
