/** Objects on disk, one file each, so that a server for development finds them again. Not for data that matters: there is no fsync. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, messageOf } from "../../errors.ts";
import { Bucket, type StoredObject } from "./buckets.ts";

interface Kept {
  readonly key: string;
  readonly body: string;
  readonly lastModifiedMs: number;
  readonly headers: StoredObject["headers"];
}

export class Folder {
  readonly #path: string;

  /** @throws ConfigError when it can't be made. */
  constructor(path: string) {
    this.#path = path;
    try {
      mkdirSync(path, { recursive: true });
    } catch (e) {
      throw new ConfigError("fakeS3", [`dir is ${JSON.stringify(path)}: ${messageOf(e)}`], { cause: e });
    }
  }

  /** Those that have been kept here. */
  bucketNames(): readonly string[] {
    return readdirSync(this.#path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  }

  /** The bucket with what was kept of it; whatever changes in it is kept from now on. @throws ConfigError for a file that is damaged. */
  bucket(name: string): Bucket {
    const folder = join(this.#path, name);
    mkdirSync(folder, { recursive: true });
    const bucket = new Bucket(name, (key, object) => keep(folder, key, object));
    for (const file of readdirSync(folder).filter((f) => f.endsWith(".json"))) {
      const { key, object } = readKept(join(folder, file));
      bucket.load(key, object);
    }
    return bucket;
  }
}

function keep(folder: string, key: string, object: StoredObject | undefined): void {
  // A key may be longer than a file's name, and may climb out of the folder.
  const path = join(folder, `${createHash("sha256").update(key).digest("hex")}.json`);
  if (object === undefined) return rmSync(path, { force: true });
  const { body, lastModifiedMs, headers } = object;
  const kept: Kept = { key, body: body.toString("base64"), lastModifiedMs, headers };
  writeFileSync(`${path}.new`, JSON.stringify(kept));
  renameSync(`${path}.new`, path);
}

function readKept(path: string): { readonly key: string; readonly object: StoredObject } {
  try {
    const { key, body, lastModifiedMs, headers } = JSON.parse(readFileSync(path, "utf8")) as Kept;
    const bytes = Buffer.from(body, "base64");
    return { key, object: { body: bytes, etag: createHash("md5").update(bytes).digest("hex"), lastModifiedMs, headers } };
  } catch (e) {
    throw new ConfigError("fakeS3", [`dir: ${path} is no object of this server (${messageOf(e)}); remove it, or use another folder`], {
      cause: e,
    });
  }
}
