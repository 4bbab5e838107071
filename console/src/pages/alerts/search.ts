import { oneOf, type RawSearch } from "@/app/search";

export const TABS = ["rules", "channels", "events"] as const;

export interface AlertsSearch {
  tab?: (typeof TABS)[number];
}

export function validateAlerts(search: RawSearch): AlertsSearch {
  return { tab: oneOf(search.tab, TABS) };
}
