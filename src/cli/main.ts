#!/usr/bin/env node
/** `s3-consensus`: the command line. */
import module from "node:module";
import process from "node:process";

// From Node 22.1 on, what was compiled once is kept beside other temporary files (NODE_DISABLE_COMPILE_CACHE=1 forbids it): half of a start is that.
const keepCompiled: unknown = Reflect.get(module, "enableCompileCache");
if (typeof keepCompiled === "function") Reflect.apply(keepCompiled, module, []);

// What the SDK has to say about this version of Node would stand between a command's own lines.
process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";
const { runProgram } = await import("./frame/program.ts");
process.exitCode = await runProgram(process.argv.slice(2));
