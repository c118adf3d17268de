/** Rule T4: whether the store's own times are fit to judge a holder dead by. Pure. */

export interface TimeSample {
  readonly dateMs: number | undefined;
  readonly lastModifiedMs: number | undefined;
  /** From the send of the write to the reply of the read that showed them, on the prober's monotonic clock. */
  readonly elapsedMs: number;
}

/** The `s` of rule T1: how far the store's own clocks may differ. */
export const DEFAULT_SKEW_MS = 1_000;
/** Between the two overwrites: enough that a time cut to the second must have moved. */
export const TIME_STEP_MS = 1_100;

/** @param samples of reads right after a write, at least `TIME_STEP_MS` apart. */
export function judgeTimes(samples: readonly [TimeSample, TimeSample]): {
  readonly storeTime: boolean;
  readonly skewMs: number;
  readonly remarks: readonly string[];
} {
  const unfit = (why: string): ReturnType<typeof judgeTimes> => ({
    storeTime: false,
    skewMs: DEFAULT_SKEW_MS,
    remarks: [`${why}: a dead holder is recognised by watching alone, never by the store's time`],
  });
  for (const { dateMs, lastModifiedMs, elapsedMs } of samples) {
    if (dateMs === undefined || lastModifiedMs === undefined) return unfit("sends no Date or no Last-Modified");
    // Both stamps belong to one moment, up to the cut to the second, the skew, and the time that the write and the read took.
    const gapMs = dateMs - lastModifiedMs;
    if (gapMs < -(1000 + DEFAULT_SKEW_MS) || gapMs > 1000 + DEFAULT_SKEW_MS + elapsedMs) {
      return unfit(`shows Date and Last-Modified ${gapMs} ms apart right after a write`);
    }
  }
  const [first, second] = samples;
  if ((second.lastModifiedMs ?? 0) <= (first.lastModifiedMs ?? 0)) return unfit("does not move Last-Modified at an overwrite");
  return { storeTime: true, skewMs: DEFAULT_SKEW_MS, remarks: [] };
}
