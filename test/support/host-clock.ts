/**
 * Milliseconds on the machine's monotonic clock, which all processes of a machine share: times written by different processes can be compared,
 * also when one of them has its wall clock shifted. (`performance.now()` counts from the start of each process.)
 */
export function hostMs(): number {
  if (countsFromStart) return performance.timeOrigin + performance.now() + Number(process.env[OFFSET_VARIABLE]);
  return Number(process.hrtime.bigint()) / 1e6;
}

const OFFSET_VARIABLE = "S3_CONSENSUS_TEST_HOST_CLOCK_OFFSET";

/** Bun's and Deno's `hrtime` counts from the start of the process. They get along with the wall clock and what the test told them. */
const countsFromStart = "Bun" in globalThis || "Deno" in globalThis;

/** For the environment of a child process: how far this clock is from the wall clock. */
export function hostClockEnv(): Record<string, string> {
  return { [OFFSET_VARIABLE]: String(hostMs() - (performance.timeOrigin + performance.now())) };
}
