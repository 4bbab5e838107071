import { type RawSearch, text } from "@/app/search";

export interface RedriveSearch {
  q?: string;
}

export function validateRedrive(search: RawSearch): RedriveSearch {
  return { q: text(search.q) };
}
