import { type RawSearch, text } from "@/app/search";

export interface AlertsSearch {
  q?: string;
}

export function validateAlerts(search: RawSearch): AlertsSearch {
  return { q: text(search.q) };
}
