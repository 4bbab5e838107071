import { type RawSearch, text } from "@/app/search";

export interface GroupSearch {
  q?: string;
}

export function validateGroup(search: RawSearch): GroupSearch {
  return { q: text(search.q) };
}
