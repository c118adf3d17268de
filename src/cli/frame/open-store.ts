/** The store of a command. Loaded when it is first asked for. */
import { createRequire } from "node:module";
import type { ObjectStore } from "../../store/object-store.ts";
import { s3Store } from "../../store/s3.ts";
import { loadSdkBy, type Sdk } from "../../store/s3-wire.ts";

/** @throws ConfigError naming every fault of the URL. */
export function openStore(url: string): ObjectStore {
  // A CommonJS package that is imported is read once more, for the names that it exports: a third of the time that the SDK takes to load.
  loadSdkBy((name) => createRequire(import.meta.url)(name) as Sdk);
  return s3Store(url);
}
