import type { Schema } from "@/api/client";

type Target = Schema<"NodeTarget"> | Schema<"WebhookTarget"> | Schema<"WorkerTarget">;

/** Write where a task's attempts go. */
export function targetText(task: Pick<Schema<"TaskSummary">, "target" | "executor">): string {
  const target = task.target as Target;
  if (target.kind === "webhook") return `${target.method ?? "POST"} ${target.url}`;
  return target.kind === "worker" ? `worker ${target.task_queue}` : `node${task.executor ? ` ${task.executor}` : ""}`;
}
