import { type RawSearch, text } from "@/app/search";

export interface SettingsSearch {
  q?: string;
}

export function validateSettings(search: RawSearch): SettingsSearch {
  return { q: text(search.q) };
}
