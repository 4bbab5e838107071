import { oneOf, type RawSearch } from "@/app/search";

export const GROUP_TABS = ["scenes", "policy", "settings"] as const;

export interface GroupSearch {
  tab?: (typeof GROUP_TABS)[number];
}

export function validateGroup(search: RawSearch): GroupSearch {
  return { tab: oneOf(search.tab, GROUP_TABS) };
}
