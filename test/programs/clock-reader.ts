/** Shows its clocks and does as it is told. Used to test the tests' own tools. */
import { spawn } from "node:child_process";
import { adopt, temporaryFolder } from "../support/reaper.ts";
import { listen, say } from "./lines.ts";

listen((command) => {
  switch (command["do"]) {
    case "clocks":
      return { wallMs: Date.now(), fresh: new Date().getTime(), monotonicMs: performance.now() };
    case "say":
      return say(String(command["event"]), command["data"] as object);
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
say("ready");
