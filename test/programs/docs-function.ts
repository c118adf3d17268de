import { s3Store, Scheduler } from "s3-consensus";

const scheduler = new Scheduler({
  store: s3Store("s3://jobs/prod"),
  tasks: [{ name: "cleanup", every: "5m", run: async ({ signal }) => signal.throwIfAborted() }],
});

export const handler = async (_event: unknown, context: { getRemainingTimeInMillis(): number }) => {
  const { ran, failed, elsewhere, nextAt } = await scheduler.runDue({ during: context });
  return { ran: ran.length, failed: failed.length, elsewhere, nextAt };
};
