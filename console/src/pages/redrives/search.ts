import { type RawSearch, text } from "@/app/search";

export interface RedrivesSearch {
  q?: string;
}

export function validateRedrives(search: RawSearch): RedrivesSearch {
  return { q: text(search.q) };
}
