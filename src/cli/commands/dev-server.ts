/** `dev-server`: an S3 server for development, to be broken at will. */
import process from "node:process";
import { type Command, InvalidArgumentError } from "commander";
import { fakeS3 } from "../../testing/s3-server/fake-s3.ts";
import { type CarelessMode, type NetworkFault, STORE_KINDS } from "../../testing/s3-server/faults.ts";
import { duration, integer } from "../frame/arguments.ts";
import type { Context, Run } from "../frame/context.ts";
import { EXIT } from "../frame/exit-codes.ts";

interface Flags {
  readonly port: number;
  readonly host: string;
  readonly dir?: string | undefined;
  readonly bucket: readonly string[];
  readonly accessKey?: string | undefined;
  readonly secretKey?: string | undefined;
  readonly careless: readonly CarelessMode[];
  readonly delay?: number | undefined;
  readonly loseReply?: number | undefined;
  readonly loseRequest?: number | undefined;
  readonly fail?: { readonly status: number; readonly probability: number } | undefined;
}

const MODES = STORE_KINDS.filter((kind): kind is CarelessMode => kind !== "wrong-date" && kind !== "wrong-region");

const HELP = `
Listens on loopback; every request is taken unless --access-key and --secret-key are given. Objects are in memory unless --dir keeps them.
Ctrl-C ends it.

Careless ways, to see a store refused or a program cope: ${MODES.join(", ")}.

  s3-consensus dev-server --port 9000 &
  export AWS_ACCESS_KEY_ID=dev AWS_SECRET_ACCESS_KEY=dev
  s3-consensus --store "s3://dev?endpoint=http://127.0.0.1:9000" lock deploy -- ./deploy.sh
`;

export function define(command: Command, run: Run): void {
  command
    .option("--port <number>", "0: any free one", integer(0, 65_535), 9000)
    .option("--host <address>", "where it listens", "127.0.0.1")
    .option("--dir <folder>", "keeps the objects there, and finds them again")
    .option("--bucket <name>", "made at the start; may be given several times (default: dev)", collect, [])
    .option("--access-key <id>", "signatures are checked, with --secret-key")
    .option("--secret-key <key>", "signatures are checked, with --access-key")
    .option("--careless <way>", "a way of a careless or quirky store; may be given several times", careless, [])
    .option("--delay <duration>", "added to each request", duration(0, 60_000))
    .option("--lose-reply <probability>", "carried out, and the connection is reset", probability)
    .option("--lose-request <probability>", "not carried out, and the connection is reset", probability)
    .option("--fail <status:probability>", "answered so, as 503:0.1", failure)
    .addHelpText("after", HELP)
    .action((flags: Flags) => run((context) => devServer(context, flags)));
}

async function devServer(context: Context, flags: Flags): Promise<number> {
  const { out, log, signals } = context;
  const { accessKey, secretKey, host, port, dir } = flags;
  if ((accessKey === undefined) !== (secretKey === undefined)) {
    log.error({}, "--access-key and --secret-key go together");
    return EXIT.usage;
  }
  const credentials =
    accessKey === undefined || secretKey === undefined ? undefined : { accessKeyId: accessKey, secretAccessKey: secretKey };
  const buckets = flags.bucket.length === 0 ? ["dev"] : flags.bucket;
  const server = await fakeS3({ port, host, dir, buckets, credentials, careless: flags.careless });
  for (const fault of faultsOf(flags)) server.faults.add(fault);
  const url = server.url();
  if (out.json) out.value({ endpoint: server.endpoint, store: url, pid: process.pid });
  else {
    out.line(`S3 server at ${server.endpoint}, store ${url}`);
    if (credentials === undefined) out.line("Any credentials will do: AWS_ACCESS_KEY_ID=dev AWS_SECRET_ACCESS_KEY=dev");
  }
  try {
    await new Promise<void>((resolve) => {
      if (signals.stop.aborted) resolve();
      else signals.stop.addEventListener("abort", () => resolve(), { once: true });
    });
  } finally {
    await server.close();
  }
  // To be stopped is how it ends, and no failure.
  return EXIT.ok;
}

function faultsOf(flags: Flags): readonly NetworkFault[] {
  const { delay, loseReply, loseRequest, fail } = flags;
  return [
    ...(delay === undefined ? [] : [{ kind: "delay", delayMs: delay } as const]),
    ...(loseReply === undefined ? [] : [{ kind: "lose-reply", probability: loseReply } as const]),
    ...(loseRequest === undefined ? [] : [{ kind: "lose-request", probability: loseRequest } as const]),
    ...(fail === undefined ? [] : [{ kind: "status", ...fail } as const]),
  ];
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function careless(value: string, before: readonly CarelessMode[]): readonly CarelessMode[] {
  const mode = MODES.find((kind) => kind === value);
  if (mode === undefined) throw new InvalidArgumentError(`Expected one of ${MODES.join(", ")}.`);
  return [...before, mode];
}

function probability(text: string): number {
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError("Expected a number from 0 to 1.");
  return value;
}

function failure(text: string): NonNullable<Flags["fail"]> {
  const [status = "", share = "1"] = text.split(":");
  if (!/^[45]\d\d$/.test(status)) throw new InvalidArgumentError("Expected a status from 400 to 599, and a probability, as 503:0.1.");
  return { status: Number(status), probability: probability(share) };
}
