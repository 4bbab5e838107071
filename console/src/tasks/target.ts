import type { Schema } from "@/api/client";
import { type HeaderPairs, headersOf } from "@/ui/header-list";

type Target = Schema<"NodeTarget"> | Schema<"WebhookTarget"> | Schema<"WorkerTarget">;

export const KINDS = ["node", "worker", "webhook"] as const;

/** Write where a task's attempts go. */
export function targetText(task: Pick<Schema<"TaskSummary">, "target" | "executor">): string {
  const target = task.target as Target;
  if (target.kind === "webhook") return `${target.method ?? "POST"} ${target.url}`;
  return target.kind === "worker" ? `worker ${target.task_queue}` : `node${task.executor ? ` ${task.executor}` : ""}`;
}

/** A target as it is being typed; the server says what is missing. */
export type TypedTarget =
  | { kind: "node" }
  | { kind: "worker"; task_queue: string }
  | { kind: "webhook"; url: string; method: string; headers: HeaderPairs };

/**
 * What is filled in first when a kind of target is chosen: what is known already, when it is of that kind. Null for
 * anything else.
 */
export function firstTarget(kind: string, known?: Schema<"TaskSummary">["target"]): TypedTarget | null {
  const of = known as Target | undefined;
  switch (kind) {
    case "node":
      return { kind };
    case "worker":
      return { kind, task_queue: of?.kind === kind ? of.task_queue : "" };
    case "webhook":
      return of?.kind === kind
        ? { kind, url: of.url, method: of.method ?? "POST", headers: Object.entries(of.headers ?? {}) }
        : { kind, url: "https://", method: "POST", headers: [] };
    default:
      return null;
  }
}

/** What is typed, as a request takes it. */
export function asTarget(target: TypedTarget): Target {
  if (target.kind !== "webhook") return target;
  return { ...target, headers: headersOf(target.headers) } as Target;
}
