/** One line of what `doctor` found out. */
export interface Check {
  /** Stable, for `--json`. */
  readonly id: string;
  /** What was looked at, in a few words. */
  readonly title: string;
  /** `unknown`: the store did not say, or an earlier line made it pointless to ask. */
  readonly verdict: "good" | "remark" | "bad" | "unknown";
  readonly detail?: string | undefined;
  /** What to do about it. */
  readonly advice?: string | undefined;
}

export function good(id: string, title: string, detail?: string): Check {
  return { id, title, verdict: "good", detail };
}

export function remark(id: string, title: string, detail: string, advice: string): Check {
  return { id, title, verdict: "remark", detail, advice };
}

export function bad(id: string, title: string, detail: string, advice: string): Check {
  return { id, title, verdict: "bad", detail, advice };
}

export function unknown(id: string, title: string, detail: string, advice?: string): Check {
  return { id, title, verdict: "unknown", detail, advice };
}
