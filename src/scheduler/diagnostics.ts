/** The channel `s3-consensus:task` of Node's `diagnostics_channel`, where the runtime has it. It is not imported: other runtimes have none. */
import type { RunRecord, TaskEventKind } from "../record/run-record.ts";

interface Channel {
  readonly hasSubscribers: boolean;
  publish(message: unknown): void;
}

let channel: Channel | undefined;
let sought = false;

function find(): Channel | undefined {
  sought = true;
  const { process } = globalThis as {
    process?: { getBuiltinModule?: (id: string) => { channel?: (name: string) => Channel } | undefined };
  };
  return process?.getBuiltinModule?.("node:diagnostics_channel")?.channel?.("s3-consensus:task");
}

export function publish(message: { readonly task: string; readonly kind: TaskEventKind; readonly run: RunRecord }): void {
  if (!sought) channel = find();
  // Node hands what a subscriber throws to the process as an uncaught exception, not to us.
  if (channel?.hasSubscribers === true) channel.publish(message);
}
