import { api } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { messages as uiMessages } from "@/ui/messages";
import { type Field, fieldOf, parseAge, parseDate, parseTerms, writeTerm } from "@/ui/query";
import type { Suggest } from "@/ui/query-bar";
import { messages } from "./messages";

/** The filter of tasks as the API knows it, the same in lists, counts, redrives and exports. */
export interface Selection {
  group?: string;
  scene?: string;
  kind?: string;
  status?: string[];
  dead_reason?: string[];
  fingerprint?: string;
  error?: string;
  q?: string;
  business_key?: string;
  idempotency_key?: string;
  priority?: number;
  metadata?: Record<string, string>;
  parent_id?: string;
  created_after?: string;
  created_before?: string;
  updated_after?: string;
  updated_before?: string;
  next_after?: string;
  next_before?: string;
  finished_after?: string;
  finished_before?: string;
  ids?: string[];
}

export const STATUSES = [
  "pending",
  "waiting",
  "running",
  "paused",
  "parked",
  "succeeded",
  "dead",
  "cancelled",
] as const;
export const DEAD_REASONS = ["exhausted", "expired", "rejected", "stopped"] as const;

const PLAIN = {
  group: "group",
  scene: "scene",
  kind: "kind",
  error: "error",
  fingerprint: "fingerprint",
  key: "business_key",
  idempotency: "idempotency_key",
  parent: "parent_id",
} as const satisfies Record<string, keyof Selection>;
const LISTS = { status: "status", reason: "dead_reason" } as const;
const MOST_BEGUN = 200;
const TIMES = ["created", "updated", "next", "finished"] as const;

/** The fields of the query bar for tasks. */
export function useTaskFields(): Field[] {
  const t = useMessages(messages).field;
  return [
    { name: "status", label: t.status, kind: "word", values: STATUSES, closed: true },
    { name: "scene", label: t.scene, kind: "text", asked: true },
    { name: "group", label: t.group, kind: "text", asked: true },
    { name: "error", label: t.error, kind: "text", asked: true },
    { name: "reason", label: t.reason, kind: "word", values: DEAD_REASONS, closed: true },
    { name: "created", label: t.created, kind: "time" },
    { name: "next", label: t.next, kind: "time" },
    { name: "finished", label: t.finished, kind: "time" },
    { name: "updated", label: t.updated, kind: "time" },
    { name: "key", label: t.key, kind: "text" },
    { name: "idempotency", label: t.idempotency, kind: "text" },
    { name: "priority", label: t.priority, kind: "number", values: ["1", "2", "3", "4", "5"] },
    { name: "kind", label: t.kind, kind: "word", values: ["task", "callback"], closed: true },
    { name: "meta", label: t.meta, kind: "text", keyed: true, asked: true },
    { name: "parent", label: t.parent, kind: "text" },
    { name: "fingerprint", label: t.fingerprint, kind: "text" },
  ];
}

/**
 * Complete a word of the query bar for tasks from what the namespace has: its groups and scenes, and what its newest
 * tasks failed with and are labelled with. Where the text names a group, what others have is left out.
 */
export const suggestTasks: Suggest = async (name, begun, text, signal) => {
  const [field, ...key] = name.split(".");
  const group = /(?:^|\s)group:([^\s"]+)/.exec(text)?.[1];
  const query = {
    field: field === "meta" ? "metadata" : (field as "scene" | "group" | "error"),
    prefix: begun.slice(0, MOST_BEGUN),
    ...(key.length > 0 ? { key: key.join(".") } : {}),
    ...(group && field !== "group" ? { group } : {}),
    limit: 50,
  } as const;
  const { data } = await api.GET("/v1/suggestions", { params: { query }, signal });
  return data?.items.map(({ value }) => value) ?? [];
};

/**
 * Read the text of a query bar: what is wrong with it, and how to make it a selection.
 *
 * @param text What was typed.
 * @param fields The fields that it may name.
 */
export function useSelection(
  text: string,
  fields: readonly Field[],
): { problem: string | null; read: (now: number) => Selection } {
  const t = useMessages(messages);
  const u = useMessages(uiMessages);
  const terms = parseTerms(text, fields);
  let problem: string | null = null;
  for (const { field: name, value } of terms) {
    if (name === undefined || value === "") continue;
    const field = fieldOf(name, fields);
    if (!field) problem = u.unknownField(name);
    else if (field.closed && value.split(",").some((word) => !field.values?.includes(word)))
      problem = u.unknownValue(name, field.values?.join(", ") ?? "");
    else if (field.kind === "time" && parseAge(value) === null && parseDate(value) === null) problem = u.badTime(name);
    else if (field.kind === "number" && !/^\d+$/.test(value)) problem = t.badPriority;
  }
  return { problem, read: (now) => readSelection(text, fields, now) };
}

/** Turn the text of a query bar into a selection; terms that say nothing are left out. */
export function readSelection(text: string, fields: readonly Field[], now: number): Selection {
  const selection: Selection = {};
  const free: string[] = [];
  for (const { field, operator, value } of parseTerms(text, fields)) {
    if (value === "") continue;
    if (field === undefined) free.push(value);
    else if (field in LISTS) selection[LISTS[field as keyof typeof LISTS]] = value.split(",").filter(Boolean);
    else if (field in PLAIN) Object.assign(selection, { [PLAIN[field as keyof typeof PLAIN]]: value });
    else if (field === "priority") selection.priority = Number(value);
    else if (field.startsWith("meta.")) selection.metadata = { ...selection.metadata, [field.slice(5)]: value };
    else if ((TIMES as readonly string[]).includes(field)) {
      const name = field as (typeof TIMES)[number];
      const age = parseAge(value);
      // `created:>1h`: more than an hour ago. What is to come is counted forwards: `next:<1h`, within the hour.
      const forward = name === "next";
      const at = age === null ? parseDate(value) : new Date(now + (forward ? age : -age) * 1000);
      if (!at) continue;
      const later = (age === null || forward) === (operator === "more");
      if (operator === "is" && age === null) {
        const end = new Date(at.getTime() + 86_400_000);
        Object.assign(selection, { [`${name}_after`]: at.toISOString(), [`${name}_before`]: end.toISOString() });
      } else Object.assign(selection, { [`${name}_${later ? "after" : "before"}`]: at.toISOString() });
    }
  }
  if (free.length > 0) selection.q = free.join(" ");
  return selection;
}

/** The selection as query parameters of `GET /v1/tasks` and its like. */
export function selectionQuery({ metadata, ids, ...plain }: Selection): Record<string, unknown> {
  const named = Object.entries(metadata ?? {}).map(([key, value]) => [`metadata.${key}`, value]);
  return { ...plain, ...(ids ? { ids } : {}), ...Object.fromEntries(named) };
}

/** Write a selection as the text of a query bar, as far as it can be said there: a list of ids cannot. */
export function writeSelection(selection: Selection): string {
  const terms: string[] = [];
  for (const [name, field] of Object.entries(PLAIN)) {
    const value = selection[field];
    if (value) terms.push(writeTerm(name, value));
  }
  for (const [name, field] of Object.entries(LISTS)) {
    const values = selection[field];
    if (values?.length) terms.push(writeTerm(name, values.join(",")));
  }
  if (selection.priority) terms.push(`priority:${selection.priority}`);
  for (const [key, value] of Object.entries(selection.metadata ?? {})) terms.push(writeTerm(`meta.${key}`, value));
  for (const name of TIMES) {
    const { [`${name}_after` as const]: after, [`${name}_before` as const]: before } = selection;
    if (after) terms.push(writeTerm(name, after, ">"));
    if (before) terms.push(writeTerm(name, before, "<"));
  }
  if (selection.q) terms.push(selection.q);
  return terms.join(" ");
}

/** The text of a query bar with one field set anew; null takes it out. */
export function replaceTerm(text: string, fields: readonly Field[], field: string, value: string | null): string {
  const kept = parseTerms(text, fields)
    .filter((term) => term.field !== field)
    .map(({ begin, end }) => text.slice(begin, end));
  return [...kept, ...(value === null ? [] : [writeTerm(field, value)])].join(" ");
}
