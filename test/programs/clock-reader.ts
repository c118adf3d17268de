/** Shows its clocks and does as it is told. Used to test the tests' own tools. */
import { spawn } from "node:child_process";
import { emit } from "../support/emit.ts";
import { adopt, temporaryFolder } from "../support/reaper.ts";
import { listen } from "./lines.ts";

listen((command) => {
  switch (command["do"]) {
    case "clocks":
      return { wallMs: Date.now(), fresh: new Date().getTime(), monotonicMs: performance.now() };
    case "say":
      return emit(String(command["event"]), command["data"] as Record<string, unknown>);
    case "adopt": {
      const child = spawn("sleep", ["600"], { stdio: "ignore" });
      adopt(child);
      return { pid: child.pid, folder: temporaryFolder("orphan") };
    }
    case "crash":
      setImmediate(() => {
        throw new Error("asked to fail");
      });
      return undefined;
    default:
      throw new Error(`unknown command ${JSON.stringify(command)}`);
  }
});
emit("ready");
