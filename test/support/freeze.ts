import { readdirSync, readFileSync } from "node:fs";

/**
 * SIGSTOP, and waits until the process has really stopped. The signal is on its way when `kill` returns: each thread stops by itself, and on a
 * busy machine one of them had the time to answer a request. One that is dead and not buried yet (Z) runs no more either.
 */
export function freeze(pid: number): void {
  process.kill(pid, "SIGSTOP");
  const limit = performance.now() + 5_000;
  while (!threads(pid).every((state) => state === "T" || state === "Z")) {
    if (performance.now() > limit)
      throw new Error(`process ${pid} did not stop within 5 s of SIGSTOP: its threads are ${threads(pid).join(" ")}`);
  }
}

/** The states of its threads, as Linux tells them; elsewhere we can't look, and believe. */
function threads(pid: number): string[] {
  if (process.platform !== "linux") return [];
  // One that ended between the two looks runs no more either.
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    try {
      // "pid (name) state …": the name may have anything in it, also brackets and spaces.
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
      return [stat.slice(stat.lastIndexOf(")") + 2)[0] ?? "?"];
    } catch {
      return [];
    }
  });
}
