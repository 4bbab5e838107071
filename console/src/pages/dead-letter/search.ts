import { type RawSearch, text } from "@/app/search";

export interface DeadLetterSearch {
  q?: string;
}

export function validateDeadLetter(search: RawSearch): DeadLetterSearch {
  return { q: text(search.q) };
}
