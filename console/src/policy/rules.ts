import { parseJson } from "@/ui/json";
import { at, drop, type Parts, put } from "./parts";

/** A classification rule as a document: what the form does not show stays in it. */
export type Rule = Parts;

export const ACTIONS = ["retry", "dead", "succeed", "park", "snooze"] as const;

/** Actions that wait, and for which a rule may say how long. */
export const WAITS: readonly unknown[] = ["park", "snooze"];

export interface Condition {
  /** Its place in a rule; also its key in `messages.ts`, with `.` as `_`. */
  path: string;
  kind: "text" | "list" | "scalar";
  example: string;
}

/** What a rule can look at. */
export const CONDITIONS: readonly Condition[] = [
  { path: "error", kind: "text", example: "myapp.errors.*" },
  { path: "http_status", kind: "list", example: "4xx, 503" },
  { path: "message", kind: "text", example: "(?i)already (paid|charged)" },
  { path: "body.pointer", kind: "text", example: "/error/code" },
  { path: "body.equals", kind: "scalar", example: "maintenance" },
];

/** What a field shows of a rule: a text, or a list of texts. */
export function shownOf(rule: Rule, { path, kind }: Condition): string | string[] {
  const value = at(rule, path);
  if (kind === "list") return value === undefined || value === null ? [] : [value].flat().map(String);
  return kind === "scalar" ? textOf(value) : String(value ?? "");
}

/** The rule with what was typed into a field. */
export function withCondition(rule: Rule, { path, kind }: Condition, typed: string | readonly string[]): Rule {
  const value = typeof typed !== "string" ? statuses(typed) : kind === "scalar" ? scalarOf(typed) : typed || undefined;
  const next = value === undefined ? drop(rule, path) : put(rule, path, value);
  // Without a pointer, it is the whole body that must be equal.
  const body = path === "body.equals" && value !== undefined && at(next, "body.pointer") === undefined;
  return body ? put(next, "body.pointer", "") : next;
}

/** The rule with another action: how long to wait means nothing to those that do not wait. */
export function withAction(rule: Rule, action: string): Rule {
  return { ...(WAITS.includes(action) ? rule : drop(rule, "seconds")), action };
}

function statuses(typed: readonly string[]): unknown {
  const list = typed.map((status) => (/^\d+$/.test(status) ? Number(status) : status));
  return list.length > 1 ? list : list[0];
}

/** Read a text as the string, number, boolean or null that is meant: quotes make a string of anything. */
function scalarOf(text: string): unknown {
  if (text === "") return undefined;
  const parsed = parseJson(text);
  return "value" in parsed && (parsed.value === null || typeof parsed.value !== "object") ? parsed.value : text;
}

/** The shortest text that is read as a value. */
function textOf(value: unknown): string {
  if (value === undefined) return "";
  return typeof value === "string" && scalarOf(value) === value ? value : JSON.stringify(value);
}
