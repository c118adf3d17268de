/** Leaves requests hanging in a server and in a proxy in every way there is, closes both, and has to end by itself. */
import { fakeS3, faultProxy, type NetworkFault } from "s3-consensus/testing";
import { emit } from "../support/emit.ts";

const server = await fakeS3({ careless: [{ kind: "check-then-write", gapMs: 60_000, key: "slow" }] });
const proxy = await faultProxy({ target: server.endpoint });
const faults: readonly NetworkFault[] = [
  { kind: "black-hole", key: "a" },
  { kind: "black-hole", executed: true, key: "b" },
  { kind: "late", hang: true, key: "c" },
  { kind: "late", delayMs: 60_000, key: "d" },
  { kind: "delay", key: "e" },
  { kind: "delay", side: "reply", delayMs: 60_000, key: "f" },
  { kind: "duplicate", delayMs: 60_000, key: "g" },
  { kind: "lose-reply", hang: true, key: "h" },
];
for (const fault of faults) {
  server.faults.add(fault);
  proxy.faults.add({ ...fault, key: `proxy-${String(fault.key)}` });
}
const keys = ["slow", "quick", "a", "b", "c", "d", "e", "f", "g", "h"];
const ends = keys.flatMap((key) =>
  [`${server.endpoint}/test/${key}`, `${proxy.endpoint}/test/proxy-${key}`].map((url) =>
    fetch(url, { method: "PUT", body: "x" }).then(
      (answer) => answer.text(),
      () => undefined,
    ),
  ),
);
while (proxy.requests.total < keys.length || server.requests.total < keys.length) await new Promise((resolve) => setTimeout(resolve, 10));
await Promise.all([proxy.close(), server.close()]);
await Promise.all(ends);
emit("closed");
