import { oneOf, type RawSearch, text } from "@/app/search";

export const TABS = ["rules", "channels", "events"] as const;
export const STATES = ["firing", "recovered", "suppressed"] as const;

export interface AlertsSearch {
  tab?: (typeof TABS)[number];
  /** The history of this rule alone. */
  rule?: string;
  /** The history of this state alone. */
  state?: (typeof STATES)[number];
}

export function validateAlerts(search: RawSearch): AlertsSearch {
  return { tab: oneOf(search.tab, TABS), rule: text(search.rule), state: oneOf(search.state, STATES) };
}
