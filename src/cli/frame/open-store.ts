/** The store of a command. Loaded when it is first asked for. */
import { createRequire } from "node:module";
import type { ObjectStore } from "../../store/object-store.ts";
import { s3Store } from "../../store/s3.ts";
import { loadSdkBy, type Sdk } from "../../store/s3-wire.ts";

/** @throws ConfigError naming every fault of the URL. */
export function openStore(url: string): ObjectStore {
  loadSdkBy(requiredOrImported);
  return s3Store(url);
}

/** A CommonJS package that is imported is read once more, for the names that it exports: a third of the time that the SDK takes to load. */
function requiredOrImported(name: string): Sdk | Promise<Sdk> {
  try {
    return createRequire(import.meta.url)(name) as Sdk;
  } catch {
    // It is not there, which an import says in better words, or it can only be imported.
    return import(name) as Promise<Sdk>;
  }
}
