import { ConfigError } from "../errors.ts";
import { isObjectStore, type ObjectStore, type Store } from "./object-store.ts";
import { s3Store } from "./s3.ts";

/** The store behind what a user passed: a store of this package, or its URL. @throws ConfigError for anything else. */
export function openStore(store: Store | string): ObjectStore {
  if (isObjectStore(store)) return store;
  if (typeof store === "string") return s3Store(store);
  throw new ConfigError("store", ["expected a store (s3Store(…), memoryStore()) or its URL"]);
}
