import { oneOf, type RawSearch } from "@/app/search";

export interface TaskSearch {
  /** The dialog that is open, so that a link can lead to it. */
  do?: "edit";
}

export function validateTask(search: RawSearch): TaskSearch {
  return { do: oneOf(search.do, ["edit"]) };
}
