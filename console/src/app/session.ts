import { keep } from "./kept";

/** The API key: for this tab, or for this browser when the person asked to be remembered. */
const tabKey = keep<string | null>(null, "redrive.key", () => sessionStorage);
const browserKey = keep<string | null>(null, "redrive.key");

export function apiKey(): string | null {
  return tabKey.get() ?? browserKey.get();
}

export function signIn(key: string, remember: boolean): void {
  tabKey.set(remember ? null : key);
  browserKey.set(remember ? key : null);
  keyWanted.set(null);
}

export function signOut(): void {
  tabKey.set(null);
  browserKey.set(null);
  keyWanted.set({ refused: false });
}

/** Set when the server refused to go on without a key, or with the one it got. */
export const keyWanted = keep<{ refused: boolean } | null>(null);

/** The namespace that is shown. The address holds it (`?namespace=`); requests read it here. */
export const namespace = keep<string>("default");
