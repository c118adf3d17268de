/**
 * The servers and runtimes of the wide tier. One that can't be had fails the run, unless it was left out on purpose: by
 * S3_CONSENSUS_TEST_WITHOUT_CEPH=1, say, which the summary names. The test files that need it bear its name.
 */
const NAMES = [
  "minio-drives",
  "minio-nodes",
  "versitygw",
  "moto",
  "ceph",
  "rclone",
  "s3mock",
  "s3s-fs",
  "s3rver",
  "fauxqs",
  "runtimes",
  "workerd",
] as const;

export type WideName = (typeof NAMES)[number];

export function leaveOutVariable(name: WideName): string {
  return `S3_CONSENSUS_TEST_WITHOUT_${name.toUpperCase().replaceAll("-", "_")}`;
}

export function leftOut(): WideName[] {
  return NAMES.filter((name) => process.env[leaveOutVariable(name)] === "1");
}

/** Patterns of the test files that are not run. */
export function leftOutFiles(): string[] {
  return leftOut().map((name) => `test/wide/**/${name}.test.ts`);
}
