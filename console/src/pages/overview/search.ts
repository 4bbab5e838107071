import { oneOf, RANGES, type Range, type RawSearch, text } from "@/app/search";

export interface OverviewSearch {
  range?: Range;
  group?: string;
}

export function validateOverview(search: RawSearch): OverviewSearch {
  return { range: oneOf(search.range, RANGES), group: text(search.group) };
}
