#!/usr/bin/env node
/** `s3-consensus`: the command line. */
import process from "node:process";
import { runProgram } from "./frame/program.ts";

// What the SDK has to say about this version of Node would stand between a command's own lines.
process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";
// A reader that has gone away (`… | head -1`) is no error of ours: there is nobody left to tell.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
process.exitCode = await runProgram(process.argv.slice(2));
