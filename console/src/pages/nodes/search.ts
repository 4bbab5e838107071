import { type RawSearch, text } from "@/app/search";

export interface NodesSearch {
  q?: string;
}

export function validateNodes(search: RawSearch): NodesSearch {
  return { q: text(search.q) };
}
