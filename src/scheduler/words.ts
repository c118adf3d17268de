/** The commonest cron expressions in words, for people. What is not understood for certain stays as it is written: no half-right sentence. Pure. */

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"] as const;
const SHORT_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const NAMED: Readonly<Record<string, string>> = {
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
};

/** `undefined` for an expression that has no simple words. */
export function cronInWords(cron: string, timeZone: string): string | undefined {
  const text = cron.trim().toLowerCase();
  const fields = (NAMED[text] ?? text).split(/\s+/);
  if (fields.length !== 5) return undefined;
  const [minute = "", hour = "", dayOfMonth = "", month = "", dayOfWeek = ""] = fields;
  if (month !== "*") return undefined;
  const often = hour === "*" && dayOfMonth === "*" && dayOfWeek === "*" ? everyMinutes(minute) : undefined;
  if (often !== undefined) return often;
  const at = timeOf(minute, hour);
  const days = at === undefined ? undefined : daysOf(dayOfMonth, dayOfWeek);
  return days === undefined ? undefined : `${days} at ${at ?? ""}, ${timeZone}`;
}

function everyMinutes(minute: string): string | undefined {
  if (minute === "*" || minute === "*/1") return "every minute";
  const step = /^\*\/(\d{1,2})$/.exec(minute);
  // By the clock a step begins anew with each hour: only those that fit into it are even.
  if (step !== null && 60 % Number(step[1]) === 0 && step[1] !== "60") return `every ${Number(step[1])} minutes`;
  if (minute === "0") return "every hour";
  const at = whole(minute, 59);
  return at === undefined ? undefined : `every hour, ${at} minute${at === 1 ? "" : "s"} past`;
}

function timeOf(minute: string, hour: string): string | undefined {
  const [h, m] = [whole(hour, 23), whole(minute, 59)];
  return h === undefined || m === undefined ? undefined : `${String(h).padStart(2, "0")}:${String(m).padStart(2, "0")}`;
}

function daysOf(dayOfMonth: string, dayOfWeek: string): string | undefined {
  if (dayOfMonth === "*" && dayOfWeek === "*") return "every day";
  if (dayOfMonth !== "*" && dayOfWeek !== "*") return undefined;
  if (dayOfWeek === "*") {
    const day = whole(dayOfMonth, 31);
    return day === undefined || day === 0 ? undefined : `on day ${day} of each month${day > 28 ? " that has one" : ""}`;
  }
  const range = dayOfWeek.split("-").map(dayName);
  if (range.length === 2 && range[0] !== range[1] && range.every((day) => day !== undefined))
    return `from ${range[0] ?? ""} to ${range[1] ?? ""}`;
  const list = [...new Set(dayOfWeek.split(",").map(dayName))];
  if (!list.every((day) => day !== undefined)) return undefined;
  return `every ${list.length === 1 ? "" : `${list.slice(0, -1).join(", ")} and `}${list.at(-1) ?? ""}`;
}

function dayName(text: string): string | undefined {
  const named = SHORT_DAYS.indexOf(text);
  const number = named >= 0 ? named : whole(text, 7);
  return number === undefined ? undefined : DAYS[number % 7];
}

function whole(text: string, max: number): number | undefined {
  return /^\d{1,2}$/.test(text) && Number(text) <= max ? Number(text) : undefined;
}
