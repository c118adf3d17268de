/** What stood at a key that is repaired, kept: nothing is overwritten before this is done. */
import { writeFile } from "node:fs/promises";
import { ConfigError, messageOf } from "../../errors.ts";
import type { ObjectStore } from "../../store/object-store.ts";

const ATTEMPTS = 3;

/** Under a fresh random name: there is nothing that it could overwrite. */
export async function keepObject(store: ObjectStore, key: string, bytes: Uint8Array): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const end = await store.create(key, bytes);
    if (end.kind === "applied") return;
    if (end.kind === "denied") throw end.error;
    // Refused: an attempt before this one was applied after all.
    if (end.kind === "refused") {
      const read = await store.get(key, { maxBytes: bytes.length });
      if (read.kind === "found" && read.body.every((byte, i) => byte === bytes[i]) && read.body.length === bytes.length) return;
    } else if (attempt >= ATTEMPTS) throw end.error;
    if (attempt >= ATTEMPTS) throw new ConfigError("nothing was done", [`the copy could not be written to ${key}: use --save FILE`]);
  }
}

/** @throws ConfigError where it can't be written. A file that is there is not overwritten. */
export async function keepFile(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(path, bytes, { flag: "wx" });
  } catch (e) {
    throw new ConfigError("nothing was done: --save", [messageOf(e)], { cause: e });
  }
}
