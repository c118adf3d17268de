import { isObjectStore, type ObjectStore, type Store } from "./object-store.ts";
import { s3Store } from "./s3.ts";

/** The store behind what a user passed: a store of this package, or its URL. @throws ConfigError for anything else. */
export function openStore(store: Store | string): ObjectStore {
  return isObjectStore(store) ? store : s3Store(store as string);
}
