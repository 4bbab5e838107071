import { UnstyledButton } from "@mantine/core";
import { IconChevronRight, IconClockHour4, IconFlag } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Schema } from "@/api/client";
import { formatNumber, useLanguage, useMessages } from "@/i18n/language";
import { formatDuration, formatExact, formatMoment } from "@/i18n/time";
import { CodeBlock } from "@/ui/code";
import { prettyJson } from "@/ui/json";
import { Facts, Panel } from "@/ui/page";
import { Empty, Result } from "@/ui/states";
import { STATUS_ICONS, StatusBadge } from "@/ui/status-badge";
import { Countdown, Duration, Time } from "@/ui/time";
import { type Attempt, isOpen, type Task } from "../hooks/use-task";
import { messages } from "../messages";
import classes from "./timeline.module.css";

const SHOWN_AT_FIRST = 30;

/** The task's life, the newest first: what comes next, each attempt and why it was when it was, and the report. */
export function Timeline({
  task,
  attempts,
}: {
  task: Task;
  attempts: { data: readonly Attempt[] | undefined; error: unknown; refetch: () => unknown };
}) {
  const t = useMessages(messages);
  const [shown, setShown] = useState(SHOWN_AT_FIRST);
  return (
    <Panel title={t.timeline} aside={attempts.data ? formatNumber(attempts.data.length) : null}>
      <Result query={attempts} rows={5}>
        {(list) => (
          <ol className={classes.timeline}>
            {isOpen(task) && task.status !== "running" && task.status !== "paused" && task.next_attempt_at && (
              <Upcoming task={task} told={list.at(-1)?.why ?? null} />
            )}
            {list.length === 0 && !isOpen(task) && <Empty title={t.noAttempts} />}
            {list
              .toReversed()
              .slice(0, shown)
              .map((attempt, index, all) => (
                <AttemptItem
                  key={`${attempt.generation}/${attempt.number}`}
                  attempt={attempt}
                  planned={plannedAt(attempt, all[index + 1])}
                  request={requestOf(attempt, task)}
                  revision={task.payload_revision > 1 ? attempt.payload_revision : null}
                  initiallyOpen={index === 0 && attempt.status !== "succeeded"}
                  heading={
                    task.generation > 1 && all[index - 1]?.generation !== attempt.generation
                      ? t.generation(attempt.generation)
                      : null
                  }
                />
              ))}
            {list.length > shown && (
              <li className={classes.more}>
                <UnstyledButton onClick={() => setShown(list.length)}>{t.more}</UnstyledButton>
              </li>
            )}
            <li className={classes.item}>
              <span className={classes.node}>
                <IconFlag size={14} stroke={2} aria-hidden />
              </span>
              <div className={classes.head}>
                <strong>{t.reported}</strong>
                <span className={classes.when}>
                  <Time at={task.created_at} exact />
                </span>
              </div>
              {list[0] && <First task={task} first={list[0]} />}
            </li>
          </ol>
        )}
      </Result>
    </Panel>
  );
}

function First({ task, first }: { task: Task; first: Attempt }) {
  const spoken = useLanguage();
  const t = useMessages(messages);
  const delay = (Date.parse(first.due_at) - Date.parse(task.created_at)) / 1000;
  return (
    <p className={classes.why}>
      {t.after} {formatDuration(Math.max(0, delay), spoken)}
    </p>
  );
}

function Upcoming({ task, told }: { task: Task; told: string | null }) {
  const t = useMessages(messages);
  return (
    <li className={classes.item}>
      <span className={classes.node} data-tone="waiting">
        <IconClockHour4 size={14} stroke={2} aria-hidden />
      </span>
      <div className={classes.head}>
        <strong>{t.attempt(task.attempts + 1)}</strong>
        <span className={classes.badge}>{t.upcoming}</span>
        <span className={classes.when}>
          {task.next_attempt_at && (
            <>
              <Countdown at={task.next_attempt_at} /> · <Time at={task.next_attempt_at} exact />
            </>
          )}
        </span>
      </div>
      {task.why !== told && <p className={classes.why}>{task.why}</p>}
    </li>
  );
}

/** What the attempt before had planned, where it came otherwise. */
function plannedAt(attempt: Attempt, before: Attempt | undefined): string | null {
  if (before?.generation !== attempt.generation || !before.next_attempt_at) return null;
  return Math.abs(seconds(before.next_attempt_at, attempt.due_at)) >= 0.5 ? before.next_attempt_at : null;
}

/** The address that it went to; its method is known while the task still has that target. */
function requestOf({ url }: Attempt, { target }: Task): string | null {
  const webhook = target as Schema<"WebhookTarget">;
  if (webhook.kind !== "webhook") return url && `POST ${url}`;
  return url === webhook.url ? `${webhook.method ?? "POST"} ${url}` : url;
}

const seconds = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 1000;

function AttemptItem({
  attempt,
  planned,
  request,
  revision,
  initiallyOpen,
  heading,
}: {
  attempt: Attempt;
  /** When it was first meant to be, where a person or its target has moved it since. */
  planned: string | null;
  /** What was asked, in one line. */
  request: string | null;
  /** The revision of the payload that it ran with; null while there is one alone, and where it is not known. */
  revision: number | null;
  initiallyOpen: boolean;
  heading: string | null;
}) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const [open, setOpen] = useState(initiallyOpen);
  const Icon = STATUS_ICONS[attempt.status];
  const { error } = attempt;
  const lag = seconds(attempt.due_at, attempt.started_at);
  return (
    <>
      {heading && <li className={classes.generation}>{heading}</li>}
      <li className={classes.item}>
        <span className={classes.node} data-tone={attempt.status}>
          <Icon size={14} stroke={2} aria-hidden />
        </span>
        <UnstyledButton className={classes.head} aria-expanded={open} onClick={() => setOpen(!open)}>
          <IconChevronRight size={14} className={classes.chevron} aria-hidden />
          <strong>{t.attempt(attempt.number)}</strong>
          <StatusBadge status={attempt.status} />
          {attempt.http_status !== null && <span className={classes.http}>HTTP {attempt.http_status}</span>}
          {attempt.finished_at && (
            <span className={classes.took}>
              <Duration seconds={seconds(attempt.started_at, attempt.finished_at)} />
            </span>
          )}
          <span className={classes.when}>
            <Time at={attempt.started_at} exact />
          </span>
        </UnstyledButton>
        {error && (error.type || error.message) && (
          <p className={classes.error}>
            {error.type && <strong>{error.type}</strong>} {error.message}
          </p>
        )}
        {open && (
          <div className={classes.details}>
            <Facts
              facts={[
                ...(planned ? ([[t.planned, <Moment key="planned" at={planned} />]] as const) : []),
                [t.due, <Moment key="due" at={attempt.due_at} />],
                [
                  t.started,
                  <span key="started">
                    <Moment at={attempt.started_at} />
                    {lag >= 0.05 && <span className={classes.quiet}> · +{formatDuration(lag, spoken)}</span>}
                  </span>,
                ],
                [t.finished, attempt.finished_at ? <Moment key="finished" at={attempt.finished_at} /> : null],
                [t.trigger, t.triggers[attempt.trigger as keyof typeof t.triggers] ?? attempt.trigger],
                ...(attempt.deliveries > 1 ? ([[t.deliveries, formatNumber(attempt.deliveries)]] as const) : []),
                ...(attempt.node_id
                  ? ([
                      [
                        t.node,
                        <Link key="node" to="/nodes" search={{ q: attempt.node_id }} className={classes.link}>
                          <code>{attempt.node_id}</code>
                        </Link>,
                      ],
                    ] as const)
                  : []),
                ...(request ? ([[t.request, <code key="request">{request}</code>]] as const) : []),
                ...(revision !== null ? ([[t.payload, t.revision(revision)]] as const) : []),
                ...(attempt.retry_after_seconds !== null
                  ? ([[t.retryAfter, <Duration key="after" seconds={attempt.retry_after_seconds} />]] as const)
                  : []),
                ...(error?.fingerprint
                  ? ([
                      [
                        t.fingerprint,
                        <Link
                          key="same"
                          to="/tasks"
                          search={{ q: `fingerprint:${error.fingerprint}` }}
                          className={classes.link}
                        >
                          <code>{error.fingerprint}</code>
                        </Link>,
                      ],
                    ] as const)
                  : []),
                ...(attempt.stop ? ([[t.answer, t.stop]] as const) : []),
              ]}
            />
            {attempt.response && (
              <div>
                <h4 className={classes.subtitle}>{t.response}</h4>
                <CodeBlock wrap label={t.response}>
                  {prettyJson(attempt.response)}
                </CodeBlock>
              </div>
            )}
            {error?.stack && (
              <div>
                <h4 className={classes.subtitle}>{t.stack}</h4>
                <CodeBlock label={t.stack}>{error.stack}</CodeBlock>
              </div>
            )}
            {attempt.logs.length > 0 && (
              <div>
                <h4 className={classes.subtitle}>{t.logs}</h4>
                <CodeBlock wrap label={t.logs}>
                  {(attempt.logs as Schema<"LogLine">[])
                    .map(({ at, level, message }) => `${at.slice(11, 23)} ${level.padEnd(7)} ${message}`)
                    .join("\n")}
                </CodeBlock>
              </div>
            )}
          </div>
        )}
        {attempt.why && (
          <p className={classes.why}>
            {attempt.delay_seconds !== null && (
              <b>
                {t.after} {formatDuration(attempt.delay_seconds, spoken)}:{" "}
              </b>
            )}
            {attempt.why}
          </p>
        )}
      </li>
    </>
  );
}

function Moment({ at }: { at: string }) {
  const spoken = useLanguage();
  const date = new Date(at);
  return (
    <time dateTime={at} title={formatExact(date, spoken)}>
      {formatMoment(date, Date.now(), spoken, true)}
    </time>
  );
}
