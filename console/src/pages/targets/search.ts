import { type RawSearch, text } from "@/app/search";

export interface TargetsSearch {
  /** The target that is shown in full. */
  key?: string;
}

export function validateTargets(search: RawSearch): TargetsSearch {
  return { key: text(search.key) };
}
