#!/usr/bin/env node
/** `npm run demo`: kill the leader, another takes over. See demo/options.ts for what it can be told. */
import { ConfigError } from "../errors.ts";
import { demoOptions, type DemoOptions, HELP } from "./demo/options.ts";
import { play } from "./demo/play.ts";

// What the SDK has to say about this version of Node would stand in the middle of the timeline.
process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";
process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: DemoOptions | undefined;
  try {
    options = demoOptions(args);
  } catch (e) {
    if (!(e instanceof ConfigError)) throw e;
    console.error(`${e.message}\n\n${HELP}`);
    return 2;
  }
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  return await play(options);
}
