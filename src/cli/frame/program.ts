/** The command line as a whole: which commands there are, what all of them understand, and what an error becomes. */
import process from "node:process";
import { Command, CommanderError } from "commander";
import { ConsensusError, messageOf } from "../../errors.ts";
import { VERSION } from "../../version.ts";
import { oneWord } from "./arguments.ts";
import { Context, type Run } from "./context.ts";
import { EXIT, exitCodeOf, exitTableText, signalStatus } from "./exit-codes.ts";
import { LOG_FORMATS, LOG_LEVELS } from "./log.ts";
import { COMMANDS } from "./registry.ts";
import { type GlobalFlags, settingsOf } from "./settings.ts";
import { Interruption } from "./signals.ts";
import { guardStreams } from "./streams.ts";

const FOOTER = `
Leadership, locks and schedules on S3-compatible storage. The store is s3://bucket/prefix?endpoint=http://host:port&region=…,
credentials come from the AWS SDK's own chain. Durations: 500ms, 30s, 5m, 1h.
Settings: flags over environment (S3_CONSENSUS_STORE, _PREFIX, _NODE, _LOG_LEVEL, _LOG_FORMAT, _CONFIG) over s3-consensus.json or .yaml.

${exitTableText()}`;

/** @returns the exit status. */
export async function runProgram(args: readonly string[]): Promise<number> {
  guardStreams();
  let status: number = EXIT.ok;
  const program = new Command("s3-consensus");
  const run: Run = async (body) => {
    status = await carriedOut(program.opts<GlobalFlags>(), body);
  };
  try {
    const given = meant(args);
    await define(program, given, run);
    await program.parseAsync([...given], { from: "user" });
  } catch (e) {
    if (!(e instanceof CommanderError)) throw e;
    // Help and version are answers, not errors; everything else that the parser finds is wrong use.
    return e.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
  return status;
}

/** Help for what is no command is told what was meant, as the command itself would be. */
function meant(args: readonly string[]): readonly string[] {
  const [first, second] = args;
  return first === "help" && second !== undefined && !second.startsWith("-") && !Object.hasOwn(COMMANDS, second) ? args.slice(1) : args;
}

async function define(program: Command, args: readonly string[], run: Run): Promise<void> {
  program
    .usage("[options] COMMAND")
    .option("-s, --store <url>", "the store: s3://bucket/prefix?endpoint=…")
    .option("-c, --config <file>", "configuration file, instead of the one in this folder")
    .option("--prefix <path>", "where the records are, below the store's own prefix (default: locks/)")
    .option("--node <name>", "this node's name, for people (default: host:pid)")
    .option("--json", "results as JSON")
    .option("--log-level <level>", LOG_LEVELS.join(", "), oneWord(LOG_LEVELS))
    .option("--log-format <format>", LOG_FORMATS.join(", "), oneWord(LOG_FORMATS))
    .version(VERSION, "-V, --version")
    .commandsGroup("About:")
    .helpCommand("help [command]", "help for a command")
    .addHelpText("after", FOOTER)
    .showHelpAfterError("(--help tells more)")
    .exitOverride();
  const before = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
  for (const [name, entry] of Object.entries(COMMANDS)) {
    const command = program.command(name).summary(entry.summary).helpGroup(`${entry.group}:`).configureHelp({ showGlobalOptions: true });
    // Only what is named is loaded; a name that was meant as an argument is loaded in vain, and no harm is done.
    if (!before.includes(name)) continue;
    command.description(`${entry.summary[0]?.toUpperCase()}${entry.summary.slice(1)}.`);
    (await entry.load()).define(command, run);
  }
}

/** Settings, then the body; every error has its message on standard error and its status. */
async function carriedOut(flags: GlobalFlags, body: (context: Context) => Promise<number>): Promise<number> {
  let context: Context | undefined;
  try {
    context = new Context(await settingsOf(flags, process.env, process.cwd()));
    return await body(context);
  } catch (e) {
    if (e instanceof Interruption) return signalStatus(e.signal);
    if (context === undefined) process.stderr.write(`s3-consensus: ${messageOf(e)}\n`);
    else context.log.error({ code: ConsensusError.is(e) ? e.code : "INTERNAL", err: e }, messageOf(e));
    if (!ConsensusError.is(e) && e instanceof Error) context?.log.debug({ stack: e.stack }, e.stack);
    return exitCodeOf(e);
  }
}
