import { at, type Parts } from "./parts";

export type FieldKind =
  | "whole"
  | "number"
  | "ratio"
  | "seconds"
  | "choice"
  | "switch"
  | "text"
  | "levels"
  | "rules"
  | "quiet";

export interface PolicyField {
  /** Its place in the policy; also its key in `messages.ts`, with `.` as `_`. */
  path: string;
  kind: FieldKind;
  choices?: readonly string[];
  /** It may be left open: `null`. */
  open?: boolean;
  /** What an open one is called; “no limit” when left out. */
  without?: "never";
  /** What holds while no layer says anything, where the policy's own document says `null` for “the defaults”. */
  implied?: unknown;
  /** Shown only while this holds of the whole policy. */
  when?: (policy: Parts) => boolean;
}

export interface PolicySection {
  id: "schedule" | "bounds" | "outcome" | "breaker" | "budget" | "slowStart" | "delivery";
  fields: readonly PolicyField[];
}

const has =
  (path: string, ...values: readonly unknown[]) =>
  (policy: Parts) =>
    values.includes(at(policy, path));
const kindIs = (...kinds: string[]) => has("backoff.kind", ...kinds);

/** What each kind of backoff begins with when it is chosen; the server's defaults. */
export const BACKOFFS: Record<string, Readonly<Record<string, unknown>>> = {
  exponential: { kind: "exponential", initial_seconds: 5, multiplier: 2, max_seconds: 3600, jitter: { kind: "full" } },
  linear: { kind: "linear", initial_seconds: 5, increment_seconds: 5, max_seconds: 3600, jitter: { kind: "full" } },
  fixed: { kind: "fixed", delay_seconds: 60, jitter: { kind: "proportional", ratio: 0.1 } },
  random: { kind: "random", min_seconds: 1, max_seconds: 60, jitter: { kind: "none" } },
  delay_levels: { kind: "delay_levels", levels: "snailjob-2.0.2", jitter: { kind: "none" } },
  cron: { kind: "cron", expression: "0 * * * *", timezone: "UTC", jitter: { kind: "none" } },
};

const JITTERS = ["full", "equal", "decorrelated", "proportional", "none"] as const;

export const SECTIONS: readonly PolicySection[] = [
  {
    id: "schedule",
    fields: [
      { path: "backoff.kind", kind: "choice", choices: Object.keys(BACKOFFS) },
      { path: "backoff.initial_seconds", kind: "seconds", when: kindIs("exponential", "linear") },
      { path: "backoff.multiplier", kind: "number", when: kindIs("exponential") },
      { path: "backoff.increment_seconds", kind: "seconds", when: kindIs("linear") },
      { path: "backoff.delay_seconds", kind: "seconds", when: kindIs("fixed") },
      { path: "backoff.min_seconds", kind: "seconds", when: kindIs("random") },
      { path: "backoff.max_seconds", kind: "seconds", when: kindIs("exponential", "linear", "random") },
      { path: "backoff.levels", kind: "levels", when: kindIs("delay_levels") },
      { path: "backoff.expression", kind: "text", when: kindIs("cron") },
      { path: "backoff.timezone", kind: "text", when: kindIs("cron") },
      { path: "backoff.jitter.kind", kind: "choice", choices: JITTERS },
      { path: "backoff.jitter.ratio", kind: "ratio", when: has("backoff.jitter.kind", "proportional") },
    ],
  },
  {
    id: "bounds",
    fields: [
      { path: "max_attempts", kind: "whole" },
      { path: "max_elapsed_seconds", kind: "seconds", open: true },
      { path: "attempt_timeout_seconds", kind: "seconds" },
    ],
  },
  {
    id: "outcome",
    fields: [
      { path: "classification", kind: "rules" },
      { path: "poison.same_fingerprint", kind: "whole", open: true, without: "never" },
      {
        path: "poison.action",
        kind: "choice",
        choices: ["dead", "park"],
        implied: "dead",
        when: (policy) => typeof at(policy, "poison.same_fingerprint") === "number",
      },
      { path: "retry_after.honour", kind: "switch" },
      { path: "retry_after.max_seconds", kind: "seconds" },
      { path: "retry_after.spends_attempt", kind: "switch" },
      { path: "retry_after.max_throttles", kind: "whole" },
    ],
  },
  {
    id: "breaker",
    fields: [
      { path: "breaker.enabled", kind: "switch", implied: true },
      { path: "breaker.failure_ratio", kind: "ratio", implied: 0.5 },
      { path: "breaker.minimum", kind: "whole", implied: 20 },
      { path: "breaker.window_seconds", kind: "seconds", implied: 60 },
      { path: "breaker.open_seconds", kind: "seconds", implied: 30 },
      { path: "breaker.growth", kind: "number", implied: 2 },
      { path: "breaker.max_open_seconds", kind: "seconds", implied: 600 },
      { path: "breaker.rounds", kind: "whole", implied: 3 },
      { path: "breaker.probe_seconds", kind: "seconds", implied: 60 },
    ],
  },
  {
    id: "slowStart",
    fields: [
      { path: "slow_start.first_per_second", kind: "number", implied: 1 },
      { path: "slow_start.doubling_seconds", kind: "seconds", implied: 10 },
      { path: "slow_start.failure_ratio", kind: "ratio", implied: 0.2 },
      { path: "slow_start.ceiling_per_second", kind: "number", implied: 1000 },
    ],
  },
  {
    id: "budget",
    fields: [
      { path: "budget.enabled", kind: "switch", implied: true },
      { path: "budget.ratio", kind: "ratio", implied: 0.2 },
      { path: "budget.floor_per_second", kind: "number", implied: 10 },
      { path: "budget.capacity", kind: "number", implied: 100 },
    ],
  },
  {
    id: "delivery",
    fields: [
      { path: "block", kind: "choice", choices: ["discard", "overlay", "concurrent", "enqueue"] },
      {
        path: "route",
        kind: "choice",
        choices: ["round_robin", "random", "consistent_hash", "least_recently_used", "first", "last"],
      },
      { path: "quiet_hours", kind: "quiet" },
    ],
  },
];
