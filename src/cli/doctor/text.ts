/** An examination as a person reads it, and as it can be sent in. */
import { VERSION } from "../../version.ts";
import type { Output, Style } from "../frame/output.ts";
import type { Check } from "./check.ts";
import type { Cost } from "./cost.ts";
import type { Examination } from "./examination.ts";

const MARKS: Readonly<Record<Check["verdict"], readonly [mark: string, style: Style]>> = {
  good: ["✓", "green"],
  remark: ["!", "yellow"],
  bad: ["✗", ["bold", "red"]],
  unknown: ["?", "dim"],
};

export type Verdict = "good" | "remarks" | "unsafe" | "no-access" | "unavailable";

export function printExamination(out: Output, examined: Examination, verdict: Verdict): void {
  for (const check of examined.checks) {
    const [mark, style] = MARKS[check.verdict];
    const first = `${out.style(style, mark)} ${check.title}`;
    out.line(check.detail === undefined || check.verdict === "bad" ? first : `${first}: ${check.detail}`);
    if (check.verdict === "bad" && check.detail !== undefined) out.line(`    ${check.detail}`);
    if (check.advice !== undefined && check.advice !== "") out.line(`    → ${check.advice}`);
  }
  if (examined.latency !== undefined) out.line(out.style("dim", `  ${costText(examined.cost)}`));
  out.line();
  const [style, text] = conclusion(verdict, examined);
  out.line(out.style(style, text));
}

export function costText(cost: Cost): string {
  const { ttlMs, nodes, putsPerHour, getsPerHour, perMonth } = cost;
  const dollars = perMonth.toFixed(2);
  return (
    `one lease at ttl ${ttlMs / 1000} s among ${nodes} nodes: ${putsPerHour} PUT and ${getsPerHour} GET an hour, ` +
    `$${dollars} a month by the list prices of AWS in us-east-1`
  );
}

function conclusion(verdict: Verdict, { checks, failure, requests, saved }: Examination): readonly [Style, string] {
  const kept = saved ? "; the verdict is kept in the bucket" : "";
  const made = `(${requests} requests${kept})`;
  switch (verdict) {
    case "good":
      return [["bold", "green"], `Good: use it. ${made}`];
    case "remarks":
      return [["bold", "yellow"], `Usable, with the remarks above. ${made}`];
    case "unsafe":
      return [["bold", "red"], `It must not be used as it is. ${made}`];
    case "no-access":
      return [["bold", "red"], checks.some((c) => c.verdict === "bad") ? `No access. ${made}` : `No access: ${failure?.message} ${made}`];
    case "unavailable":
      return [["bold", "red"], `No verdict: ${failure?.message ?? "no answer"} ${made}`];
  }
}

/** To be pasted into an issue: nothing in it names the bucket, the account or a key. */
export function reportText(examined: Examination, verdict: Verdict, secrets: readonly string[]): string {
  const lines = examined.checks.map((c) => `| ${c.title} | ${c.verdict} | ${[c.detail, c.advice].filter(Boolean).join(" → ")} |`);
  const times = examined.latency;
  const text = [
    `### s3-consensus doctor: ${verdict}`,
    "",
    `s3-consensus ${VERSION}, Node ${process.versions.node}, ${process.platform} ${process.arch}`,
    "",
    "| Check | Verdict | Detail |",
    "| --- | --- | --- |",
    ...lines,
    "",
    times === undefined ? "not measured" : `GET p50 ${times.get.p50Ms.toFixed(1)} ms, PUT p50 ${times.put.p50Ms.toFixed(1)} ms`,
    ...(examined.failure === undefined ? [] : ["", examined.failure.message]),
  ].join("\n");
  return secrets.filter((secret) => secret.length > 2).reduce((masked, secret) => masked.replaceAll(secret, "***"), text);
}
