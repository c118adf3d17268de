/**
 * Milliseconds on the machine's monotonic clock, which all processes of a machine share: times written by different processes can be compared,
 * also when one of them has its wall clock shifted. (`performance.now()` counts from the start of each process.)
 */
export function hostMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
