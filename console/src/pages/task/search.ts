import { type RawSearch, text } from "@/app/search";

export interface TaskSearch {
  q?: string;
}

export function validateTask(search: RawSearch): TaskSearch {
  return { q: text(search.q) };
}
