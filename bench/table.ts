/** Samples, and tables of them for people. */

/** The value below which this part of the samples lies. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

export interface Table {
  readonly title: string;
  /** What was done, and what it is measured against. */
  readonly note: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

/** Three significant digits at most: the rest would be noise. */
export function short(value: string | number): string {
  if (typeof value === "string") return value;
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return String(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

/** As Markdown, which reads well on a terminal, too. */
export function render({ title, note, columns, rows }: Table): string {
  const cells = [columns, ...rows.map((row) => row.map(short))];
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => (row[i] ?? "").length)));
  const line = (row: readonly string[]): string => `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = cells;
  return [`## ${title}`, "", note, "", line(head), line(widths.map((w) => "-".repeat(w))), ...body.map(line), ""].join("\n");
}
