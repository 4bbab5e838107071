import {
  IconAlertTriangle,
  IconCheck,
  IconClockHour4,
  IconPlayerPause,
  IconPlayerPlay,
  IconPlayerStop,
} from "@tabler/icons-react";
import type { Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { Badge } from "@/ui/status-badge";
import { messages } from "./messages";
import classes from "./redrive-state.module.css";

export type Redrive = Schema<"RedriveResource">;

const LOOKS = {
  waiting: ["wait", IconClockHour4],
  running: ["info", IconPlayerPlay],
  paused: ["quiet", IconPlayerPause],
  completed: ["good", IconCheck],
  stopped: ["bad", IconAlertTriangle],
  aborted: ["quiet", IconPlayerStop],
} as const;

/** Whether something can still change about it. */
export function isOpen({ status }: Redrive): boolean {
  return status === "waiting" || status === "running" || status === "paused";
}

export function RedriveBadge({ status }: { status: Redrive["status"] }) {
  const t = useMessages(messages);
  const [tone, icon] = LOOKS[status];
  return (
    <Badge tone={tone} icon={icon}>
      {t.status[status]}
    </Badge>
  );
}

const PARTS = [
  ["succeeded", "succeeded"],
  ["dead", "dead"],
  ["failed", "parked"],
  ["skipped", "cancelled"],
  ["in_flight", "running"],
] as const;

/** How far it is, each outcome in its colour; the figures stand beside it. */
export function Progress({ of, high }: { of: Redrive; high?: boolean }) {
  const t = useMessages(messages);
  const { counts } = of;
  let at = 0;
  return (
    <span className={classes.progress}>
      <svg
        className={classes.bar}
        data-high={high || undefined}
        viewBox="0 0 100 1"
        preserveAspectRatio="none"
        role="progressbar"
        aria-label={t.doneOf(counts.done, counts.total)}
        aria-valuenow={counts.done}
        aria-valuemin={0}
        aria-valuemax={counts.total}
      >
        {PARTS.map(([part, tone]) => {
          const width = (counts[part] / Math.max(1, counts.total)) * 100;
          const x = at;
          at += width;
          return <rect key={part} x={x} y={0} width={width} height={1} fill={`var(--${tone})`} />;
        })}
      </svg>
      {!high && <span>{t.doneOf(counts.done, counts.total)}</span>}
    </span>
  );
}
