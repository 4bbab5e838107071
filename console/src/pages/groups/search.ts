import { type RawSearch, text } from "@/app/search";

export interface GroupsSearch {
  q?: string;
}

export function validateGroups(search: RawSearch): GroupsSearch {
  return { q: text(search.q) };
}
