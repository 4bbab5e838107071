import { oneOf, type RawSearch, text } from "@/app/search";

export const SORTS = [
  "-created_at",
  "created_at",
  "-updated_at",
  "updated_at",
  "next_attempt_at",
  "-next_attempt_at",
  "-finished_at",
  "finished_at",
  "priority",
  "-priority",
  "-attempts",
  "attempts",
] as const;
export type Sort = (typeof SORTS)[number];

export interface TasksSearch {
  /** The text of the query bar. */
  q?: string;
  sort?: Sort;
  /** Columns that are not shown, apart by commas; left out, what this browser last hid. */
  hide?: string;
}

export function validateTasks(search: RawSearch): TasksSearch {
  return { q: text(search.q), sort: oneOf(search.sort, SORTS), hide: text(search.hide) };
}
