import { oneOf, type RawSearch } from "@/app/search";

export const OUTCOMES = ["waiting", "started", "succeeded", "dead", "skipped", "failed"] as const;

export interface RedriveSearch {
  /** Only the tasks that came to this. */
  outcome?: (typeof OUTCOMES)[number];
}

export function validateRedrive(search: RawSearch): RedriveSearch {
  return { outcome: oneOf(search.outcome, OUTCOMES) };
}
