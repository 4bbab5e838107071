import { Link } from "@tanstack/react-router";
import { formatCompact, formatNumber, useLanguage, useMessages } from "@/i18n/language";
import { messages as uiMessages } from "@/ui/messages";
import { STATUS_ICONS } from "@/ui/status-badge";
import type { Overview } from "../hooks/use-overview";
import { inGroup } from "../links";
import { messages } from "../messages";
import classes from "./states.module.css";

const ORDER = ["dead", "parked", "running", "waiting", "pending", "paused", "succeeded", "cancelled"] as const;

/** How many tasks are in each state; what needs a person comes first. */
export function States({ overview, group }: { overview: Overview; group?: string }) {
  const t = useMessages(messages);
  const s = useMessages(uiMessages).status;
  const spoken = useLanguage();
  return (
    <section className={classes.states} aria-label={t.states}>
      {ORDER.map((status) => {
        const Icon = STATUS_ICONS[status];
        const count = overview.counts[status] ?? 0;
        return (
          <Link
            key={status}
            to="/tasks"
            search={{ q: inGroup(group, `status:${status}`) }}
            className={classes.state}
            data-tone={status}
            data-none={count === 0 || undefined}
          >
            <span className={classes.label}>
              <Icon size={15} stroke={1.9} aria-hidden />
              {s[status]}
            </span>
            <span className={classes.count} title={formatNumber(count, spoken)}>
              {formatCompact(count, spoken)}
            </span>
          </Link>
        );
      })}
    </section>
  );
}
