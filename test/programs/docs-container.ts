import { s3Store, Scheduler } from "s3-consensus";
import { shutdownSignal } from "s3-consensus/node";

const scheduler = new Scheduler({
  store: s3Store("s3://jobs/prod"),
  tasks: [
    {
      name: "report",
      cron: "0 3 * * *",
      timeZone: "Europe/Berlin",
      timeoutMs: 600_000,
      retries: 2,
      run: async (run) => {
        const { scheduledAt, signal, fencingToken, attempt } = run;
        run.progress("collecting", 0.1);
        console.log("report of", scheduledAt.toISOString(), "attempt", attempt, "token", fencingToken);
        signal.throwIfAborted();
        return { rows: 42 };
      },
    },
  ],
});
await scheduler.run({ signal: shutdownSignal() });
