import type { ReactNode } from "react";
import { useMessages } from "@/i18n/language";
import { STATUS_ICONS } from "@/ui/status-badge";
import { Countdown, Duration, Time } from "@/ui/time";
import type { Attempt, Task } from "../hooks/use-task";
import { messages } from "../messages";
import classes from "./hero.module.css";

const MOST_TICKS = 40;

/** Where the task stands, in one look: what comes next and when, or how it ended, and what was spent. */
export function Hero({ task, attempts = [] }: { task: Task; attempts?: readonly Attempt[] }) {
  const t = useMessages(messages);
  const Icon = STATUS_ICONS[task.status];
  const { headline, aside } = useHeadline(task, attempts);
  const mine = attempts.filter(({ generation }) => generation === task.generation);
  const unspent = Math.max(0, task.max_attempts - mine.length);
  return (
    <section className={classes.hero} data-tone={task.status}>
      <span className={classes.icon}>
        <Icon size={22} stroke={1.9} aria-hidden />
      </span>
      <div className={classes.text}>
        <p className={classes.headline}>{headline}</p>
        <p className={classes.why}>
          {task.status === "parked" && task.parked_for ? `${t.parkedFor[task.parked_for]} · ${task.why}` : task.why}
        </p>
      </div>
      {aside && <div className={classes.aside}>{aside}</div>}
      {mine.length + unspent <= MOST_TICKS && (
        <div className={classes.ticks} role="img" aria-label={t.hero.progress(task.attempts, task.max_attempts)}>
          {mine.map(({ number, status }) => (
            <i key={number} data-tone={status} />
          ))}
          {Array.from({ length: unspent }, (_, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: ticks without identity
            <i key={`unspent-${index}`} />
          ))}
        </div>
      )}
    </section>
  );
}

function useHeadline(task: Task, attempts: readonly Attempt[]): { headline: ReactNode; aside: ReactNode } {
  const t = useMessages(messages).hero;
  const next = task.attempts + 1;
  const took = task.finished_at ? (Date.parse(task.finished_at) - Date.parse(task.created_at)) / 1000 : null;
  const ended = (
    <>
      <span>{t.took}</span>
      <strong>
        <Duration seconds={took} />
      </strong>
    </>
  );
  switch (task.status) {
    case "succeeded":
      return { headline: t.succeeded(task.attempts), aside: ended };
    case "dead":
      return { headline: t.dead(task.attempts), aside: ended };
    case "cancelled":
      return { headline: t.cancelled, aside: ended };
    case "running": {
      const since = attempts.findLast(({ status }) => status === "running")?.started_at;
      const aside = since ? (
        <>
          <span>{t.since}</span>
          <strong>
            <Time at={since} />
          </strong>
        </>
      ) : null;
      return { headline: t.running(next, task.max_attempts), aside };
    }
    default: {
      const aside = task.next_attempt_at ? (
        <>
          <span>{t.due}</span>
          <strong>
            <Countdown at={task.next_attempt_at} />
          </strong>
        </>
      ) : null;
      const headline = {
        pending: t.pending,
        waiting: t.next(next, task.max_attempts),
        paused: t.paused,
        parked: t.parked,
      };
      return { headline: headline[task.status], aside: task.status === "paused" ? null : aside };
    }
  }
}
