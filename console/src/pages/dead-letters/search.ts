import { oneOf, type RawSearch, text } from "@/app/search";

export const SORTS = ["-count", "-last_seen", "-first_seen"] as const;
export const SHOWN = ["open", "acknowledged", "muted"] as const;

export interface DeadLettersSearch {
  /** The text of the query bar. */
  q?: string;
  sort?: (typeof SORTS)[number];
  /** Only errors that nobody has seen yet, that somebody has, or whose alerts are off. */
  shown?: (typeof SHOWN)[number];
}

export function validateDeadLetters(search: RawSearch): DeadLettersSearch {
  return { q: text(search.q), sort: oneOf(search.sort, SORTS), shown: oneOf(search.shown, SHOWN) };
}
