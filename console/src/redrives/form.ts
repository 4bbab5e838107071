import type { Schema } from "@/api/client";
import type { Parts } from "@/policy/parts";
import type { Selection } from "@/tasks/selection";
import { asTarget, type TypedTarget } from "@/tasks/target";
import { parseJson } from "@/ui/json";

export type Action = Schema<"RedriveRequest">["action"];
export type Preview = Schema<"RedrivePreview">;
export type Share = readonly [name: string, count: number];

export const ORDERS = ["oldest", "newest", "priority"] as const;
export const COUNTERS = ["reset", "keep"] as const;
export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

export interface Hours {
  start: string;
  end: string;
  timezone: string;
  days: readonly string[];
}

/** What a person has chosen so far. A number that was cleared is null: the server says what it expects there. */
export interface Form {
  rate: number | null;
  concurrency: number | null;
  most: number | null;
  order: (typeof ORDERS)[number];
  ramp: {
    first_share: number | null;
    first_per_second: number | null;
    doubling_seconds: number | null;
    failure_ratio: number | null;
  } | null;
  stop: { ratio: number | null; minimum: number | null } | null;
  hours: Hours | null;
  counters: (typeof COUNTERS)[number];
  policy: Parts;
  target: TypedTarget | null;
  /** The text of the patch; null for none. */
  patch: string | null;
}

export const RAMP = { first_share: 0.1, first_per_second: 1, doubling_seconds: 10, failure_ratio: 0.2 };
export const STOP = { ratio: 0.5, minimum: 20 };
export const FIRST_PATCH = '{\n  "kwargs": {}\n}';

export const FORM: Form = {
  rate: 10,
  concurrency: 100,
  most: null,
  order: "oldest",
  ramp: RAMP,
  stop: STOP,
  hours: null,
  counters: "reset",
  policy: {},
  target: null,
  patch: null,
};

/** What is chosen as a request. What has no meaning for the action is left out; the server checks the rest. */
export function asRedrive(action: Action, selection: Selection, form: Form): Schema<"RedriveRequest"> {
  const patch = form.patch === null ? null : parseJson(form.patch);
  const replay = {
    stop: form.stop,
    counters: form.counters,
    target: form.target && asTarget(form.target),
    payload_patch: patch && ("value" in patch ? patch.value : {}),
  };
  const request = {
    action,
    selection,
    rate_per_second: form.rate,
    concurrency: form.concurrency,
    max_items: form.most,
    order: form.order,
    ramp: form.ramp,
    window: form.hours,
    ...(action === "replay" ? replay : {}),
    ...(action === "change_policy" || changes(form.policy) ? { policy: form.policy } : {}),
  };
  return request as unknown as Schema<"RedriveRequest">;
}

/** Whether anything of the policy is set. */
export function changes(policy: Parts): boolean {
  return Object.keys(policy).length > 0;
}
