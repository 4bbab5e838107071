import { oneOf, type RawSearch } from "@/app/search";

export const SETTINGS_TABS = ["namespaces", "policy", "keys", "audit", "about"] as const;

export interface SettingsSearch {
  tab?: (typeof SETTINGS_TABS)[number];
}

export function validateSettings(search: RawSearch): SettingsSearch {
  return { tab: oneOf(search.tab, SETTINGS_TABS) };
}
