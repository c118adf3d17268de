/** Functions: one lock for a call, one look at the schedule for a timer, and a bucket's event that at most one of them handles. */
import {
  type Attempt,
  FencedOutError,
  fencedObject,
  LockHeldError,
  Locks,
  Scheduler,
  type SchedulerOptions,
  type Task,
} from "s3-consensus";

/** As much of AWS Lambda's context as is used here; its own type fits, too. */
interface Context {
  readonly awsRequestId: string;
  getRemainingTimeInMillis: () => number;
}
interface S3Event {
  readonly Records: readonly { readonly s3: { readonly object: { readonly key: string } } }[];
}
declare function thumbnail(key: string, signal: AbortSignal): Promise<Uint8Array>;

const store = process.env["S3_CONSENSUS_STORE"] ?? "s3://jobs/prod";
const locks = new Locks({ store });
const tasks = [
  { name: "clean", cron: "*/15 * * * *", run: async ({ signal }) => await thumbnail("clean", signal).then(() => undefined) },
  { name: "count", every: "1h", timeoutMs: 30_000, run: () => ({ rows: 3 }) },
  { name: "launch", at: "2027-03-14T02:30:00Z", run: () => undefined },
] as const satisfies readonly Task[];
const options = { tasks } satisfies SchedulerOptions<typeof tasks>;
const scheduler = new Scheduler({ store, ...options });

export async function handler(event: S3Event, context: Context): Promise<{ readonly done: number; readonly elsewhere: number }> {
  let elsewhere = 0;
  const mine = locks.oneShot(context);
  for (const { s3 } of event.Records) {
    const attempt: Attempt<boolean> = await mine.tryWithLock(
      s3.object.key,
      { metadata: { request: context.awsRequestId } },
      async (lock) => {
        const picture = await thumbnail(s3.object.key, lock.signal);
        try {
          await fencedObject(store, `thumbnails/${s3.object.key}`).put(picture, lock);
          return true;
        } catch (e) {
          if (e instanceof FencedOutError) return e.mine.fencingToken > e.theirs.fencingToken;
          throw e;
        }
      },
    );
    if (!attempt.ran) elsewhere += 1;
  }
  return { done: event.Records.length - elsewhere, elsewhere };
}

/** One that would rather wait says so. */
export async function waiting(context: Context): Promise<number> {
  try {
    return await locks.oneShot(context).withLock("report", { waitMs: 2_000 }, ({ fencingToken }) => fencingToken);
  } catch (e) {
    if (e instanceof LockHeldError) return -e.retryAfterMs;
    throw e;
  }
}

export const timer = async (_event: unknown, context: Context): Promise<Date | undefined> => {
  const { failed, nextAt } = await scheduler.runDue({ during: context });
  for (const run of failed) console.error(run.task, run.scheduledAt.toISOString(), run.error);
  return nextAt;
};
export const paused = (): Promise<void> => scheduler.pause("launch");
