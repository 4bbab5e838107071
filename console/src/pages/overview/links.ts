import { writeTerm } from "@/ui/query";

/** Narrow the text of a query bar to a group. */
export function inGroup(group: string | undefined, text: string): string {
  return group ? `${writeTerm("group", group)} ${text}` : text;
}

/** Terms for what lies within one bucket of a chart. */
export function within(field: "finished" | "next" | "created", from: Date, seconds: number): string {
  const plain = (at: Date) => at.toISOString().replace(".000Z", "Z");
  return `${field}:>${plain(from)} ${field}:<${plain(new Date(from.getTime() + seconds * 1000))}`;
}
