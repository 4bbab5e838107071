import { useSyncExternalStore } from "react";

/** A value that lives outside React: it is read anywhere, shown where it is used, and told when it changes. */
export interface Kept<T> {
  get(): T;
  set(value: T): void;
  subscribe(listener: () => void): () => void;
}

/**
 * Keep a value, in the browser's storage when a name is given.
 *
 * @param initial What it is when nothing was kept.
 * @param name The name in the storage; none keeps it in memory alone.
 * @param storage Where: this browser, unless this tab is asked for.
 */
export function keep<T>(initial: T, name?: string, storage: () => Storage = () => localStorage): Kept<T> {
  let value = initial;
  const listeners = new Set<() => void>();
  if (name) {
    try {
      const found = storage().getItem(name);
      if (found !== null) value = JSON.parse(found) as T;
    } catch {
      // A browser that keeps nothing, or something that this release cannot read: begin anew.
    }
  }
  return {
    get: () => value,
    set(next) {
      value = next;
      if (name) {
        try {
          if (next === null || next === undefined) storage().removeItem(name);
          else storage().setItem(name, JSON.stringify(next));
        } catch {
          // It holds until the page is closed.
        }
      }
      for (const listener of listeners) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Read a kept value, and render again when it changes. */
export function useKept<T>(kept: Kept<T>): T {
  return useSyncExternalStore(kept.subscribe, kept.get);
}
