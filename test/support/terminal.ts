/**
 * A program in a real terminal: in tmux where there is one, which shows what a person would see; else in a pty of script(1), whose output is read
 * frame by frame. Keys go in, the screen comes out, the window changes its size.
 */
import { execFile, execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pass } from "node:timers/promises";
import { promisify, stripVTControlCharacters } from "node:util";
import { whenFinished } from "./finish.ts";
import { adopt, temporaryFolder } from "./reaper.ts";

const run = promisify(execFile);

export interface TerminalOptions {
  readonly columns: number;
  readonly rows: number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface Terminal {
  /** What it shows now, line by line. */
  screen(): Promise<string[]>;
  /** As a keyboard sends them. */
  type(text: string): Promise<void>;
  resize(columns: number, rows: number): Promise<void>;
  /** Resolves with the match, as soon as the screen shows it. */
  shows(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
}

const hasTmux = (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, "tmux")));
export const TERMINALS: readonly ("tmux" | "script")[] = hasTmux ? ["tmux", "script"] : ["script"];

/** After the end of the program stands `exit STATUS`. */
export async function openTerminal(kind: "tmux" | "script", words: readonly string[], options: TerminalOptions): Promise<Terminal> {
  const quoted = words.map((word) => `'${word.replaceAll("'", `'"'"'`)}'`).join(" ");
  const base = kind === "tmux" ? await inTmux(quoted, options) : inScript(quoted, options);
  return {
    ...base,
    shows: async (pattern, timeoutMs = 60_000) => {
      const until = performance.now() + timeoutMs;
      for (;;) {
        const text = (await base.screen()).join("\n");
        const match = pattern.exec(text);
        if (match !== null) return match;
        if (performance.now() > until) throw new Error(`no ${String(pattern)} within ${timeoutMs} ms on the screen:\n${text}`);
        await pass(50);
      }
    },
  };
}

async function inTmux(quoted: string, { columns, rows, env }: TerminalOptions): Promise<Omit<Terminal, "shows">> {
  // A server of its own, which ends with its only window.
  const socket = join(temporaryFolder("terminal"), "tmux");
  const tmux = async (...args: string[]): Promise<string> =>
    (await run("tmux", ["-S", socket, "-f", "/dev/null", ...args], { env: { ...env, TMUX: undefined, LC_ALL: "C.UTF-8" } })).stdout;
  await tmux(
    "new-session",
    "-d",
    "-x",
    String(columns),
    "-y",
    String(rows),
    `/bin/sh -c ${shellWord(`${quoted}; echo "exit $?"; exec cat`)}`,
  );
  whenFinished(() =>
    tmux("kill-server").then(
      () => undefined,
      () => undefined,
    ),
  );
  return {
    screen: async () => (await tmux("capture-pane", "-p")).split("\n"),
    type: async (text) => void (await tmux("send-keys", "-l", text)),
    resize: async (wide, high) => void (await tmux("resize-window", "-x", String(wide), "-y", String(high))),
  };
}

function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}

function inScript(quoted: string, { columns, rows, env }: TerminalOptions): Omit<Terminal, "shows"> {
  // stdin of the shell is the terminal; the program is not the shell itself, so that its status can be told.
  const line = `stty rows ${rows} cols ${columns}; ${quoted}; echo "exit $?"`;
  const child = spawn("script", ["-qec", `exec /bin/sh -c ${shellWord(`trap : INT; ${line}`)}`, "/dev/null"], {
    env: { ...env, TERM: "xterm-256color", SHELL: "/bin/sh" },
    stdio: ["pipe", "pipe", "ignore"],
  });
  adopt(child);
  whenFinished(() => void child.kill("SIGKILL"));
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text = (text + chunk).slice(-200_000)));
  child.stdin.on("error", () => undefined);
  return {
    screen: () => {
      const left = text.split("\u001B[?1049l").at(-1) ?? "";
      const whole = left === text ? text : left;
      // The last frame that has come to its end.
      const frame = whole.split("\u001B[H").findLast((part) => part.includes("\u001B[J")) ?? whole;
      return Promise.resolve(stripVTControlCharacters(frame).split(/\r*\n/));
    },
    type: (keys) => Promise.resolve(void child.stdin.write(keys)),
    resize: (wide, high) =>
      Promise.resolve(void execFileSync("stty", ["-F", terminalOf(child.pid ?? 0), "rows", String(high), "cols", String(wide)])),
  };
}

/** The terminal that script(1) has made for its child. */
function terminalOf(pid: number): string {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  return readlinkSync(`/proc/${child}/fd/0`);
}
