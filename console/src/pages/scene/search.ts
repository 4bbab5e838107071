import { oneOf, type RawSearch } from "@/app/search";

export const SCENE_TABS = ["policy", "versions", "settings"] as const;

export interface SceneSearch {
  tab?: (typeof SCENE_TABS)[number];
}

export function validateScene(search: RawSearch): SceneSearch {
  return { tab: oneOf(search.tab, SCENE_TABS) };
}
