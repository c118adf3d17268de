/** Where a command's settings come from: flags over environment over configuration file. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../../errors.ts";
import { show } from "../../options.ts";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "./log.ts";

export const CONFIG_FILES = ["s3-consensus.json", "s3-consensus.yaml", "s3-consensus.yml"] as const;

/** What every command understands, as commander gives it. */
export interface GlobalFlags {
  readonly store?: string | undefined;
  readonly config?: string | undefined;
  readonly prefix?: string | undefined;
  readonly node?: string | undefined;
  readonly json?: boolean | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly logFormat?: LogFormat | undefined;
}

/** What a configuration file may say, in milliseconds where it said durations. */
export interface FileSettings {
  readonly store?: string | undefined;
  readonly prefix?: string | undefined;
  readonly node?: string | undefined;
  readonly ttlMs?: number | undefined;
  readonly waitMs?: number | undefined;
  readonly graceMs?: number | undefined;
  readonly conflictExitCode?: number | undefined;
  readonly lostExitCode?: number | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly logFormat?: LogFormat | undefined;
}

export interface Settings extends FileSettings {
  /** Below the store's own prefix: where elections, locks and tasks are. */
  readonly prefix: string;
  readonly json: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws ConfigError with every fault of the file, or of the environment. */
export async function settingsOf(flags: GlobalFlags, env: Environment, cwd: string): Promise<Settings> {
  const path = configPath(flags.config ?? filled(env["S3_CONSENSUS_CONFIG"]), cwd);
  // The parser and the checker cost time that a command without a file does not have to spend.
  const file: FileSettings = path === undefined ? {} : await (await import("./config-file.ts")).readConfigFile(path);
  const fromEnv = fromEnvironment(env);
  return {
    ...file,
    store: flags.store ?? fromEnv.store ?? file.store,
    prefix: flags.prefix ?? fromEnv.prefix ?? file.prefix ?? "locks/",
    node: flags.node ?? fromEnv.node ?? file.node,
    json: flags.json === true,
    logLevel: flags.logLevel ?? fromEnv.logLevel ?? file.logLevel ?? "info",
    logFormat: flags.logFormat ?? fromEnv.logFormat ?? file.logFormat ?? "text",
  };
}

/** An empty variable is one that is not set, as a shell script leaves it. */
function filled(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function fromEnvironment(env: Environment): Pick<FileSettings, "store" | "prefix" | "node" | "logLevel" | "logFormat"> {
  const faults: string[] = [];
  const word = <const T extends string>(name: string, words: readonly T[]): T | undefined => {
    const text = filled(env[name]);
    const found = words.find((w) => w === text);
    if (text !== undefined && found === undefined) faults.push(`${name} is ${show(text)}: expected one of ${words.join(", ")}`);
    return found;
  };
  const settings = {
    store: filled(env["S3_CONSENSUS_STORE"]),
    prefix: filled(env["S3_CONSENSUS_PREFIX"]),
    node: filled(env["S3_CONSENSUS_NODE"]),
    logLevel: word("S3_CONSENSUS_LOG_LEVEL", LOG_LEVELS),
    logFormat: word("S3_CONSENSUS_LOG_FORMAT", LOG_FORMATS),
  };
  if (faults.length > 0) throw new ConfigError("environment", faults);
  return settings;
}

function configPath(named: string | undefined, cwd: string): string | undefined {
  if (named !== undefined) return named;
  const found = CONFIG_FILES.filter((name) => existsSync(join(cwd, name)));
  if (found.length > 1)
    throw new ConfigError("configuration", [`both ${found.join(" and ")} are here: keep one, or name it with --config`]);
  return found[0] === undefined ? undefined : join(cwd, found[0]);
}
