import { Link } from "@tanstack/react-router";
import type { Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { Panel } from "@/ui/page";
import { StatusBadge } from "@/ui/status-badge";
import { Time } from "@/ui/time";
import type { Task } from "../hooks/use-task";
import { messages } from "../messages";
import classes from "./callbacks-panel.module.css";

const KINDS = ["on_success", "on_dead", "on_cancelled"] as const;

/** Who is told of the task's end, and the messages that were sent, which are tasks themselves. */
export function CallbacksPanel({
  task,
  query,
}: {
  task: Task;
  query: { data: Schema<"Page_TaskSummary_"> | undefined };
}) {
  const t = useMessages(messages);
  const wanted = KINDS.flatMap((kind) => {
    const to = task.callbacks?.[kind];
    return to ? [[kind, typeof to === "string" ? to : (to as { url: string }).url] as const] : [];
  });
  const sent = query.data?.items ?? [];
  if (wanted.length === 0 && sent.length === 0) return null;
  return (
    <Panel title={t.callbacks}>
      <ul className={classes.list}>
        {wanted.map(([kind, to]) => (
          <li key={kind}>
            <span className={classes.kind}>{t.on[kind]}</span>
            <code>{to}</code>
          </li>
        ))}
        {sent.map((callback) => (
          <li key={callback.id}>
            <StatusBadge status={callback.status} />
            <Link to="/tasks/$taskId" params={{ taskId: callback.id }} className={classes.link}>
              {callback.executor ?? callback.target_key}
            </Link>
            <span className={classes.when}>
              <Time at={callback.updated_at} />
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
