import { IconExternalLink } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useMessages } from "@/i18n/language";
import { targetText } from "@/tasks/target";
import { CopyButton } from "@/ui/copy";
import { Facts, Panel } from "@/ui/page";
import { Countdown, Time } from "@/ui/time";
import type { Task } from "../hooks/use-task";
import { messages } from "../messages";
import classes from "./facts-panel.module.css";

/** Whose it is, what it goes by, and where it goes. */
export function FactsPanel({ task }: { task: Task }) {
  const t = useMessages(messages);
  const f = t.fact;
  const counters = (["snoozes", "parks", "throttles", "interruptions"] as const)
    .filter((name) => task.counters[name] > 0)
    .map((name) => t.counter[name](task.counters[name]));
  const facts: (readonly [ReactNode, ReactNode])[] = [
    [f.id, <Copied key="id" text={task.id} />],
    [
      f.scene,
      <span key="scene">
        <Link className={classes.link} to="/groups/$group" params={{ group: task.group }}>
          {task.group}
        </Link>{" "}
        /{" "}
        <Link
          className={classes.link}
          to="/groups/$group/scenes/$scene"
          params={{ group: task.group, scene: task.scene }}
        >
          {task.scene}
        </Link>
      </span>,
    ],
    ...(task.business_key
      ? [
          [
            f.businessKey,
            <Link key="key" className={classes.link} to="/tasks" search={{ q: `key:${task.business_key}` }}>
              <code>{task.business_key}</code>
            </Link>,
          ] as const,
        ]
      : []),
    ...(task.idempotency_key
      ? [[f.idempotencyKey, <Copied key="idempotency" text={task.idempotency_key} />] as const]
      : []),
    [f.target, <code key="target">{targetText(task)}</code>],
    [f.reported, <Time key="created" at={task.created_at} />],
    [f.changed, <Time key="updated" at={task.updated_at} />],
    ...(task.finished_at ? [[f.ended, <Time key="finished" at={task.finished_at} />] as const] : []),
    ...(task.deadline ? [[f.deadline, <Countdown key="deadline" at={task.deadline} />] as const] : []),
    [f.priority, task.priority],
    [f.generation, task.generation],
    ...(task.duplicates > 0 ? [[f.duplicates, task.duplicates] as const] : []),
    ...(counters.length > 0 ? [[f.counters, counters.join(", ")] as const] : []),
    ...(task.redrive_id
      ? [
          [
            f.redrive,
            <Link
              key="redrive"
              className={classes.link}
              to="/redrives/$redriveId"
              params={{ redriveId: task.redrive_id }}
            >
              <code>…{task.redrive_id.slice(-12)}</code>
            </Link>,
          ] as const,
        ]
      : []),
    ...(task.parent_id
      ? [
          [
            f.parent,
            <Link key="parent" className={classes.link} to="/tasks/$taskId" params={{ taskId: task.parent_id }}>
              <code>…{task.parent_id.slice(-12)}</code>
            </Link>,
          ] as const,
        ]
      : []),
    ...(Object.keys(task.metadata).length > 0
      ? [
          [
            f.metadata,
            <span key="metadata" className={classes.tags}>
              {Object.entries(task.metadata).map(([name, value]) => (
                <Link key={name} className={classes.tag} to="/tasks" search={{ q: `meta.${name}:${String(value)}` }}>
                  {name} <b>{String(value)}</b>
                </Link>
              ))}
            </span>,
          ] as const,
        ]
      : []),
    ...(task.temporal_url
      ? [
          [
            f.workflow,
            <a key="temporal" className={classes.link} href={task.temporal_url} target="_blank" rel="noreferrer">
              {t.openTemporal} <IconExternalLink size={13} aria-hidden />
            </a>,
          ] as const,
        ]
      : []),
  ];
  return (
    <Panel>
      <Facts facts={facts} />
    </Panel>
  );
}

function Copied({ text }: { text: string }) {
  return (
    <span className={classes.copied}>
      <code>{text}</code>
      <CopyButton text={text} />
    </span>
  );
}
