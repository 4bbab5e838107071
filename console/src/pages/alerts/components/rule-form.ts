import { $api, type Schema } from "@/api/client";
import type { Said } from "./sentence";

export type Rule = Schema<"AlertRuleResource">;
export type Condition = Schema<"AlertConditionResource">;

/** What a person can set in a rule. */
export type Draft = Pick<
  Rule,
  | "name"
  | "event"
  | "groups"
  | "scenes"
  | "threshold"
  | "minimum"
  | "window_seconds"
  | "group_by"
  | "cool_down_seconds"
  | "repeat_seconds"
  | "recovery"
  | "rate_limit_per_hour"
  | "quiet_hours"
  | "channels"
  | "enabled"
>;

/** A new rule: the server's defaults, and an alarm for each group and scene, which is what people mean. */
export const NEW: Draft = {
  name: "",
  event: "dead_letter",
  groups: [],
  scenes: [],
  threshold: null,
  minimum: 20,
  window_seconds: null,
  group_by: ["group", "scene"],
  cool_down_seconds: 900,
  repeat_seconds: null,
  recovery: true,
  rate_limit_per_hour: 30,
  quiet_hours: [],
  channels: [],
  enabled: true,
};

export function draftOf(rule: Rule): Draft {
  return Object.fromEntries(Object.keys(NEW).map((name) => [name, rule[name as keyof Draft]])) as unknown as Draft;
}

/** The draft about another event: what means nothing there is taken out, and the numbers are that event's own. */
export function about(draft: Draft, { event, group_by, has_scene }: Condition): Draft {
  return {
    ...draft,
    event,
    threshold: null,
    window_seconds: null,
    group_by: draft.group_by.filter((one) => group_by.includes(one)),
    scenes: has_scene ? draft.scenes : [],
  };
}

/** The draft as a sentence needs it. */
export function saidOf(draft: Draft, { threshold, window_seconds }: Condition): Said {
  return {
    ...draft,
    threshold: draft.threshold ?? threshold,
    window: draft.window_seconds ?? window_seconds,
    quiet: draft.quiet_hours.length > 0,
  };
}

/** What rules can be about, with the defaults of each. */
export function useConditions() {
  return $api.useQuery("get", "/v1/alerts/conditions", {}, { staleTime: Number.POSITIVE_INFINITY });
}

/** Names of groups and scenes that exist. */
export function useNames(field: "group" | "scene"): string[] {
  const params = { query: { field, limit: 100 } };
  const names = $api.useQuery("get", "/v1/suggestions", { params }, { staleTime: 60_000 });
  // The group that delivers alerts is left out of everything that rules measure.
  return (names.data?.items ?? []).map(({ value }) => value).filter((name) => name !== "redrive-alerts");
}
