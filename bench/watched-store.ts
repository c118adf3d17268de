import type { Clock, ObjectStore } from "s3-consensus";

export interface Watch {
  /** A timer of the program came up. */
  onTimer?(): void;
  /** A conditional write is about to be sent. */
  onWrite?(key: string): void;
}

/** The store, and its clock, with somebody watching what a program does with them. */
export function watchedStore(store: ObjectStore, watch: Watch): ObjectStore {
  const { clock } = store;
  const watchedClock: Clock = {
    monotonicMs: () => clock.monotonicMs(),
    wallMs: () => clock.wallMs(),
    setTimer: (delayMs, fn, options) => {
      const onTimer = (): void => {
        watch.onTimer?.();
        fn();
      };
      return clock.setTimer(delayMs, onTimer, options);
    },
  };
  const own: Partial<ObjectStore> = {
    clock: watchedClock,
    create: (key, ...rest) => {
      watch.onWrite?.(key);
      return store.create(key, ...rest);
    },
    replace: (key, ...rest) => {
      watch.onWrite?.(key);
      return store.replace(key, ...rest);
    },
  };
  return new Proxy(store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(own, name) ?? Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
