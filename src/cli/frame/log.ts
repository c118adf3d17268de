/** The log of a command: lines on standard error, for people or as JSON. */
import { toIso } from "../../clock/calendar.ts";
import type { Clock } from "../../clock/clock.ts";
import { messageOf } from "../../errors.ts";
import type { Logger } from "../../lease/wiring.ts";
import type { Output } from "./output.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const LOG_FORMATS = ["text", "json"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

const COLOURS = { debug: "dim", info: "reset", warn: "yellow", error: "red" } as const;

export function logger(out: Output, clock: Clock, level: LogLevel, format: LogFormat): Logger {
  const at =
    (of: keyof typeof COLOURS) =>
    (about: object, message = ""): void => {
      if (LOG_LEVELS.indexOf(of) < LOG_LEVELS.indexOf(level)) return;
      if (format === "json") {
        out.value({ time: toIso(clock.wallMs()), level: of, msg: message, ...plain(about) });
        return;
      }
      const text = message === "" ? JSON.stringify(plain(about)) : message;
      out.line(out.style(COLOURS[of], `s3-consensus: ${of === "info" ? "" : `${of}: `}${text}`));
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Errors have no own fields that JSON would show. */
function plain(about: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(about).map(([name, value]) => [name, value instanceof Error ? messageOf(value) : (value as unknown)]),
  );
}

/** The log as the library gets it: what it tells as news is a detail of a command, which has its own words for it. */
export function libraryLog(log: Logger): Logger {
  return { ...log, info: (about, message) => log.debug(about, message) };
}
