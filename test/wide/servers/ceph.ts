/** A whole Ceph for one gateway: one monitor, one storage daemon with its objects in memory, one RADOS gateway, without authentication between them. */
import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { freePort } from "../../support/ports.ts";
import { adopt, temporaryFolder } from "../../support/reaper.ts";
import { type Body, cleanedUp, type OwnServer, processBody, started } from "../../support/servers.ts";
import { findCeph } from "./find.ts";

const KEY = "minioadmin";
const STEP_LIMIT_MS = 60_000;

/**
 * Answers after about 13 s; `version` is what it says of itself. Whoever stops it stops the gateway and what it stores in memory, which is then lost;
 * with `gatewayAlone` what is stored outlives the gateway, and ends with this process.
 */
export async function startCeph({ gatewayAlone = false } = {}): Promise<OwnServer & { readonly version: string }> {
  const version = await findCeph();
  const dir = temporaryFolder("ceph");
  const [monitorPort, port] = [await freePort(), await freePort()];
  const fsid = randomUUID();
  for (const folder of ["mon", "osd", "run", "rgw"]) mkdirSync(join(dir, folder));
  const conf = join(dir, "ceph.conf");
  writeFileSync(conf, configuration(dir, fsid, monitorPort));
  const daemon = (program: string, ...args: string[]): Body => processBody(program, ["-f", "--conf", conf, ...args], {});
  const monitor = daemon("ceph-mon", "-i", "a");
  const storage = daemon("ceph-osd", "-i", "0");
  const gateway = daemon("radosgw", "-n", "client.rgw", "--rgw-frontends", `beast endpoint=127.0.0.1:${port}`);
  const step = (program: string, ...args: string[]): Promise<void> => finished(program, ["--conf", conf, ...args]);
  let isMade = false;
  const body: Body = {
    ...gateway,
    start() {
      if (isMade && !gatewayAlone) monitor.start();
      if (isMade && !gatewayAlone) storage.start();
      gateway.start();
    },
    get pid() {
      return gateway.pid;
    },
    async end(signal) {
      // The gateway first: the others would be missed by it.
      for (const each of isMade && gatewayAlone ? [gateway] : [gateway, storage, monitor]) await each.end(signal);
    },
    log: () => [monitor, storage, gateway].map((each) => each.log()).join("\n"),
  };
  try {
    await finished("monmaptool", ["--create", "--fsid", fsid, "--addv", "a", `[v2:127.0.0.1:${monitorPort}]`, join(dir, "monmap")]);
    await step("ceph-mon", "--mkfs", "-i", "a", "--monmap", join(dir, "monmap"));
    monitor.start();
    const uuid = randomUUID();
    await step("ceph", "--connect-timeout", "30", "osd", "new", uuid);
    await step("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", uuid);
    storage.start();
    await step("radosgw-admin", "user", "create", "--uid", "test", "--display-name", "test", "--access-key", KEY, "--secret-key", KEY);
    const server = await started({ name: "ceph", port, dir, body, readyPath: "/" });
    isMade = true;
    return Object.assign(cleanedUp(server, true), { version });
  } catch (error) {
    await body.end("SIGKILL");
    throw error;
  }
}

function configuration(dir: string, fsid: string, monitorPort: number): string {
  // Without authentication there is no key to encrypt by: "crc" for every connection, or a client waits for ever.
  const plain = ["mon client", "mon cluster", "mon service", "cluster", "service", "client"].map((who) => `ms ${who} mode = crc`);
  const nobody = ["cluster", "service", "client"].map((who) => `auth ${who} required = none`);
  return [
    "[global]",
    `fsid = ${fsid}`,
    `mon host = v2:127.0.0.1:${monitorPort}`,
    "mon initial members = a",
    "ms bind msgr1 = false",
    ...plain,
    ...nobody,
    "osd pool default size = 1",
    "osd pool default min size = 1",
    "osd pool default pg num = 1",
    "osd pool default pgp num = 1",
    "mon allow pool size one = true",
    "osd crush chooseleaf type = 0",
    "osd objectstore = memstore",
    "memstore device bytes = 1073741824",
    // A disk that is nearly full is no reason to stop: nothing is kept on it.
    "mon data avail warn = 1",
    "mon data avail crit = 1",
    `mon data = ${dir}/mon`,
    `osd data = ${dir}/osd`,
    `rgw data = ${dir}/rgw`,
    `keyring = ${dir}/keyring`,
    `admin socket = ${dir}/run/$name.asok`,
    `run dir = ${dir}/run`,
    "pid file =",
    "log file =",
    "log to stderr = true",
    "[osd]",
    "public addr = 127.0.0.1",
    "cluster addr = 127.0.0.1",
    "[client]",
    "public addr = 127.0.0.1",
    "",
  ].join("\n");
}

/** Runs a command to its end. */
function finished(program: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], timeout: STEP_LIMIT_MS });
    adopt(child);
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-8_000)));
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${program} ${args.join(" ")} ended with ${code ?? "no code: it took too long"}\n${said}`));
    });
  });
}
