import { Link } from "@tanstack/react-router";
import { formatNumber, useMessages } from "@/i18n/language";
import { briefText } from "@/tasks/error-text";
import { targetText } from "@/tasks/target";
import type { Column } from "@/ui/data-table";
import { StatusBadge } from "@/ui/status-badge";
import { Countdown, Time } from "@/ui/time";
import type { Task } from "../hooks/use-tasks";
import { messages } from "../messages";
import classes from "./columns.module.css";

/** Hidden until somebody wants them. */
export const HIDDEN_AT_FIRST = ["created", "finished", "priority", "kind", "target", "id"] as const;

/** What the list can show of a task. */
export function useColumns(): Column<Task>[] {
  const t = useMessages(messages);
  const c = t.column;
  return [
    {
      id: "status",
      header: c.status,
      width: "146px",
      fixed: true,
      cell: (task) => <StatusBadge status={task.status} deadReason={task.dead_reason} />,
    },
    {
      id: "operation",
      header: c.operation,
      width: "minmax(186px, 1.1fr)",
      fixed: true,
      cell: (task) => (
        <Link to="/tasks/$taskId" params={{ taskId: task.id }} className={classes.operation}>
          <strong>{task.scene}</strong>
          <span>{task.group}</span>
          {task.kind === "callback" && <em>{t.callback}</em>}
        </Link>
      ),
    },
    {
      id: "key",
      header: c.key,
      width: "minmax(88px, 0.6fr)",
      cell: (task) => <code title={task.business_key ?? task.id}>{task.business_key ?? `…${task.id.slice(-8)}`}</code>,
    },
    {
      id: "error",
      header: c.error,
      width: "minmax(200px, 2fr)",
      cell: (task) => <LastError task={task} />,
    },
    {
      id: "attempts",
      header: c.attempts,
      width: "94px",
      align: "right",
      sort: { ascending: "attempts", descending: "-attempts" },
      cell: (task) => (
        <span className={classes.attempts}>
          {formatNumber(task.attempts)}
          <span>/{formatNumber(task.max_attempts)}</span>
        </span>
      ),
    },
    {
      id: "next",
      header: c.next,
      width: "116px",
      align: "right",
      sort: { ascending: "next_attempt_at", descending: "-next_attempt_at" },
      cell: (task) =>
        task.next_attempt_at ? <Countdown at={task.next_attempt_at} /> : <span className={classes.quiet}>–</span>,
    },
    {
      id: "updated",
      header: c.updated,
      width: "92px",
      align: "right",
      sort: { ascending: "updated_at", descending: "-updated_at" },
      cell: (task) => <Time at={task.updated_at} />,
    },
    {
      id: "created",
      header: c.created,
      width: "104px",
      align: "right",
      sort: { ascending: "created_at", descending: "-created_at" },
      cell: (task) => <Time at={task.created_at} />,
    },
    {
      id: "finished",
      header: c.finished,
      width: "104px",
      align: "right",
      sort: { ascending: "finished_at", descending: "-finished_at" },
      cell: (task) => <Time at={task.finished_at} />,
    },
    {
      id: "priority",
      header: c.priority,
      width: "84px",
      align: "right",
      sort: { ascending: "priority", descending: "-priority" },
      cell: (task) => task.priority,
    },
    { id: "kind", header: c.kind, width: "96px", cell: (task) => task.kind },
    {
      id: "target",
      header: c.target,
      width: "minmax(150px, 1fr)",
      cell: (task) => <span title={targetText(task)}>{targetText(task)}</span>,
    },
    { id: "id", header: c.id, width: "312px", cell: (task) => <code>{task.id}</code> },
  ];
}

function LastError({ task }: { task: Task }) {
  const { type, message: whole } = task.last_error ?? {};
  const message = briefText(type, whole);
  if (!type && !message) return <span className={classes.quiet}>{task.why}</span>;
  const ended = task.status === "succeeded" || task.status === "cancelled";
  return (
    <span className={classes.error} data-ended={ended || undefined} title={`${type ?? ""} ${whole ?? ""}`}>
      {type && <strong>{type}</strong>} {message}
    </span>
  );
}

/** A task on a phone. */
export function TaskCard({ task }: { task: Task }) {
  return (
    <div className={classes.card}>
      <div className={classes.cardRow}>
        <StatusBadge status={task.status} deadReason={task.dead_reason} />
        <span className={classes.quiet}>
          {task.next_attempt_at ? <Countdown at={task.next_attempt_at} /> : <Time at={task.updated_at} />}
        </span>
      </div>
      <div className={classes.cardRow}>
        <Link to="/tasks/$taskId" params={{ taskId: task.id }} className={classes.operation}>
          <strong>{task.scene}</strong>
          <span>{task.business_key ?? task.group}</span>
        </Link>
        <span className={classes.attempts}>
          {formatNumber(task.attempts)}
          <span>/{formatNumber(task.max_attempts)}</span>
        </span>
      </div>
      <div className={classes.clip}>
        <LastError task={task} />
      </div>
    </div>
  );
}
