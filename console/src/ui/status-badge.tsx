import {
  IconAlertOctagon,
  IconBan,
  IconCheck,
  IconCircleDashed,
  IconClockHour4,
  IconClockX,
  IconParking,
  IconPlayerPause,
  IconPlayerPlay,
  IconX,
} from "@tabler/icons-react";
import type { Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { messages } from "./messages";
import classes from "./status-badge.module.css";

export type Status = Schema<"TaskStatus"> | Schema<"AttemptStatus">;

/** Each state has a shape of its own: colour alone tells nothing to one man in twelve. */
export const STATUS_ICONS = {
  pending: IconCircleDashed,
  waiting: IconClockHour4,
  running: IconPlayerPlay,
  paused: IconPlayerPause,
  parked: IconParking,
  succeeded: IconCheck,
  dead: IconAlertOctagon,
  cancelled: IconBan,
  failed: IconX,
  timed_out: IconClockX,
} as const;

const TONES: Record<Status, string> = {
  pending: "pending",
  waiting: "waiting",
  running: "running",
  paused: "paused",
  parked: "parked",
  succeeded: "succeeded",
  dead: "dead",
  cancelled: "cancelled",
  failed: "dead",
  timed_out: "dead",
};

/** Where a task or an attempt stands. */
export function StatusBadge({
  status,
  deadReason,
  plain,
}: {
  status: Status;
  deadReason?: Schema<"DeadReason"> | null;
  plain?: boolean;
}) {
  const t = useMessages(messages);
  const Icon = STATUS_ICONS[status];
  return (
    <span className={classes.badge} data-tone={TONES[status]} data-plain={plain || undefined}>
      <Icon size={13} stroke={2.1} aria-hidden />
      {t.status[status]}
      {deadReason && <span className={classes.more}>{t.deadReason[deadReason]}</span>}
    </span>
  );
}

export type Tone = "good" | "bad" | "warn" | "info" | "quiet" | "wait";
const TONE_OF: Record<Tone, string> = {
  good: "succeeded",
  bad: "dead",
  warn: "parked",
  info: "running",
  quiet: "cancelled",
  wait: "waiting",
};

/** Any other short word with a tone: the state of a node, a breaker, a redrive. Give it an icon, too. */
export function Badge({ tone, icon: Icon, children }: { tone: Tone; icon?: typeof IconCheck; children: string }) {
  return (
    <span className={classes.badge} data-tone={TONE_OF[tone]}>
      {Icon && <Icon size={13} stroke={2.1} aria-hidden />}
      {children}
    </span>
  );
}
