import { type RawSearch, text } from "@/app/search";

export interface DeadLettersSearch {
  q?: string;
}

export function validateDeadLetters(search: RawSearch): DeadLettersSearch {
  return { q: text(search.q) };
}
