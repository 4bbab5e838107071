import { type RawSearch, text } from "@/app/search";

export interface SceneSearch {
  q?: string;
}

export function validateScene(search: RawSearch): SceneSearch {
  return { q: text(search.q) };
}
