import { type RawSearch, text } from "@/app/search";

export interface TasksSearch {
  q?: string;
}

export function validateTasks(search: RawSearch): TasksSearch {
  return { q: text(search.q) };
}
