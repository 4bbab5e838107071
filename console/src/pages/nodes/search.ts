import { oneOf, type RawSearch, text } from "@/app/search";

export const NODE_STATES = ["live", "draining", "lost"] as const;

export interface NodesSearch {
  q?: string;
  status?: (typeof NODE_STATES)[number];
}

export function validateNodes(search: RawSearch): NodesSearch {
  return { q: text(search.q), status: oneOf(search.status, NODE_STATES) };
}
