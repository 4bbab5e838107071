import { oneOf, type RawSearch } from "@/app/search";

export const STATES = ["waiting", "running", "paused", "completed", "stopped", "aborted"] as const;

export interface RedrivesSearch {
  status?: (typeof STATES)[number];
}

export function validateRedrives(search: RawSearch): RedrivesSearch {
  return { status: oneOf(search.status, STATES) };
}
