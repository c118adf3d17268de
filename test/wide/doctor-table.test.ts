/**
 * `doctor` on every server that runs here, with nothing but its own output in docs/stores.md: `npm run docs:stores` writes the tables anew, and
 * each run of the wide tier sees whether the verdicts still stand.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, inject, it } from "vitest";
import { fakeS3 } from "../../src/testing/s3-server/fake-s3.ts";
import { type CarelessMode, STORE_KINDS } from "../../src/testing/s3-server/faults.ts";
import { cliEnv, fakeEnv, runCli } from "../support/cli.ts";
import { expectShape } from "../support/cli-schema.ts";
import { freshBucket } from "../support/minio-client.ts";
import { type S3Server, startGofakes3, startMinio } from "../support/servers.ts";
import { keepVersions } from "./answers.ts";
import { startCeph } from "./servers/ceph.ts";
import { goVersionOf, minioVersionOf, versionOf } from "./servers/find.ts";
import { leftOut, type WideName } from "./servers/left-out.ts";
import { startMinioNodes } from "./servers/minio-nodes.ts";
import { startFauxqs, startMoto, startRclone, startS3mock, startS3rver, startS3sFs, startVersitygw } from "./servers/start.ts";

interface Told {
  readonly store: string;
  readonly verdict: "good" | "remarks" | "unsafe" | "no-access" | "unavailable";
  readonly requests: number;
  readonly checks: readonly { readonly id: string; readonly verdict: string; readonly detail?: string }[];
  readonly error: { readonly code: string; readonly message: string } | null;
}

interface Subject {
  readonly name: string;
  readonly needs?: WideName;
  /** The server, with its version if it says so itself. */
  readonly start: () => Promise<S3Server & { readonly version?: string }>;
  readonly version?: string;
  readonly versioned?: boolean;
}

const minioVersion = minioVersionOf(inject("minioRunner"));

const USABLE: readonly Subject[] = [
  { name: "MinIO, one drive", version: minioVersion, start: () => startMinio() },
  { name: "MinIO, four drives", needs: "minio-drives", version: minioVersion, start: () => startMinio({ drives: 4 }) },
  {
    name: "MinIO, two nodes of two drives",
    needs: "minio-nodes",
    version: minioVersion,
    start: async () => (await startMinioNodes())[0],
  },
  { name: "Ceph RGW", needs: "ceph", start: () => startCeph() },
  { name: "gofakes3", version: goVersionOf(inject("gofakes3Path")), start: () => startGofakes3() },
  { name: "versitygw", needs: "versitygw", version: versionOf("versitygw"), start: () => startVersitygw() },
  { name: "moto", needs: "moto", version: versionOf("moto"), start: () => startMoto() },
  { name: "rclone `serve s3`", needs: "rclone", version: versionOf("rclone"), start: () => startRclone() },
];

const REFUSED: readonly Subject[] = [
  { name: "Ceph RGW, a bucket that keeps versions", needs: "ceph", versioned: true, start: () => startCeph() },
  { name: "S3Mock", needs: "s3mock", version: versionOf("s3mock"), start: startS3mock },
  { name: "s3s-fs", needs: "s3s-fs", version: versionOf("s3s-fs"), start: startS3sFs },
  {
    name: "rclone `serve s3`, an older version",
    needs: "rclone",
    version: versionOf("rclone-old"),
    start: () => startRclone("rclone-old"),
  },
  { name: "s3rver", needs: "s3rver", version: versionOf("s3rver"), start: startS3rver },
  { name: "fauxqs", needs: "fauxqs", version: versionOf("fauxqs"), start: startFauxqs },
];

const WAYS = STORE_KINDS.filter((kind): kind is CarelessMode => kind !== "wrong-date" && kind !== "wrong-region");

const STATUS: Readonly<Record<Told["verdict"], number>> = { good: 0, remarks: 1, unsafe: 78, "no-access": 77, unavailable: 69 };

const usable: string[] = [];
const refused: string[] = [];
const ways: string[] = [];

async function doctor(url: string, env: ReturnType<typeof cliEnv>): Promise<Told> {
  const { status, out, err } = await runCli(["doctor", url, "--json"], { env });
  expect(err).toBe("");
  expectShape("doctor", JSON.parse(out));
  const told = JSON.parse(out) as Told;
  expect(status, out).toBe(STATUS[told.verdict]);
  return told;
}

async function doctorOn({ start, version, versioned = false }: Subject): Promise<{ readonly told: Told; readonly version: string }> {
  const server = await start();
  const { bucket, url, outside } = await freshBucket(server);
  if (versioned) await keepVersions(server, bucket);
  const told = await doctor(url("app"), cliEnv(server));
  // As the page says: each was left as it was found.
  expect(await outside.list(bucket)).toEqual([]);
  return { told, version: server.version ?? version ?? "" };
}

async function doctorOnFake(careless: readonly CarelessMode[]): Promise<Told> {
  await using server = await fakeS3({ careless });
  return await doctor(server.url(), fakeEnv());
}

const isLeftOut = ({ needs }: Subject): boolean => needs !== undefined && leftOut().includes(needs);
const named = (subjects: readonly Subject[]): [string, Subject][] => subjects.filter((s) => !isLeftOut(s)).map((s) => [s.name, s]);

describe("doctor", () => {
  it("on fakeS3 of s3-consensus/testing", async () => {
    const told = await doctorOnFake([]);
    expect(told.verdict).toBe("good");
    usable.push(usableRow("`fakeS3`", "–", told));
  });

  it.each(named(USABLE))("on %s", { timeout: 180_000 }, async (name, subject) => {
    const { told, version } = await doctorOn(subject);
    expect(["good", "remarks"], JSON.stringify(told)).toContain(told.verdict);
    usable.push(usableRow(name, version, told));
  });

  it.each(named(REFUSED))("refuses %s", { timeout: 180_000 }, async (name, subject) => {
    const { told, version } = await doctorOn(subject);
    // By the probe itself, and not for a setting of the bucket.
    expect([told.verdict, told.error?.code], JSON.stringify(told)).toEqual(["unsafe", "STORE_UNSAFE"]);
    refused.push(cells(name, version, stepOf(told), whyOf(told), `${told.requests}`));
  });

  // Which verdict each way must have stands in test/cli/doctor/careless.test.ts.
  it.each(WAYS)("on fakeS3 of the way %s", async (way) => {
    const told = await doctorOnFake([way]);
    expect(told.error?.code === "STORE_UNSAFE", JSON.stringify(told)).toBe(told.verdict === "unsafe");
    ways.push(cells(`\`${way}\``, told.verdict, linesOf(told), `${told.requests}`));
  });

  afterAll(() => {
    // Tables without a server that failed, or was left out, would say less than before.
    const isWhole = usable.length === USABLE.length + 1 && refused.length === REFUSED.length && ways.length === WAYS.length;
    if (process.env["UPDATE_DOCS"] === "1" && isWhole) writePage();
  });
});

function usableRow(name: string, version: string, told: Told): string {
  const detail = (id: string): string => told.checks.find((check) => check.id === id)?.detail ?? "–";
  return cells(name, version, told.verdict, linesOf(told), detail("replace"), detail("delete-condition"), `${told.requests}`);
}

/** Without those that were not tried because of an earlier one. */
function linesOf({ checks }: Told): string {
  const lines = checks.filter(({ verdict, detail }) => verdict !== "good" && detail?.startsWith("not tried") !== true);
  return lines.map(({ id, verdict }) => `${id}: ${verdict}`).join("; ") || "–";
}

/** The probe names more steps than there are lines. */
function stepOf({ error, checks }: Told): string {
  const step = /\(probe step "([^"]+)"\)/.exec(error?.message ?? "")?.[1] ?? checks.find(({ verdict }) => verdict === "bad")?.id;
  return `\`${step}\``;
}

/** The message without the address of this run and the advice. */
function whyOf({ error, store }: Told): string {
  const said = (error?.message ?? "").replace(store, "").replace(/ \(probe step .*$/s, "");
  return /lead or lock on: (.*)$/s.exec(said)?.[1] ?? said;
}

function cells(...texts: readonly string[]): string {
  return `| ${texts.map((text) => text.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}

function table(heads: readonly string[], rows: readonly string[]): string {
  return [cells(...heads), cells(...heads.map(() => "---")), ...rows].join("\n");
}

function writePage(): void {
  const path = join(import.meta.dirname, "../../docs/stores.md");
  const [begin, end] = ["<!-- made by npm run docs:stores -->", "<!-- end of what is made -->"] as const;
  const made = [
    `Output of \`doctor\` (its full probe, once) on the servers that run here, ${new Date().toISOString().slice(0, 10)}. Each was left as it was found. Servers of the table above that are marked as measured by hand or documented are not among them.`,
    table(["Server", "Version", "Verdict", "Lines that are not good", "Remark on ETags", "DELETE with a condition", "Requests"], usable),
    "Refused, each by a step of the full probe (a program that starts there is often stopped earlier, by the proof of its path):",
    table(["Server", "Version", "Refused by step", "What it says", "Requests until then"], refused),
    "And on `fakeS3` in each way of a careless or quirky store that it can be given:",
    table(["Way", "Verdict", "Lines that are not good", "Requests"], ways),
  ].join("\n\n");
  const [before = "", rest = ""] = readFileSync(path, "utf8").split(begin);
  writeFileSync(path, `${before}${begin}\n\n${made}\n\n${end}${rest.split(end)[1] ?? ""}`);
}
