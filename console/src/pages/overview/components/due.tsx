import { Link, useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { useMessages } from "@/i18n/language";
import { Chart } from "@/ui/chart";
import { Panel } from "@/ui/page";
import type { Overview } from "../hooks/use-overview";
import { inGroup, within } from "../links";
import { messages } from "../messages";
import classes from "./due.module.css";

const HOUR = 3600;

/** What will be due, hour by hour, and what should have been already. */
export function Due({ overview, group }: { overview: Overview; group?: string }) {
  const t = useMessages(messages);
  const navigate = useNavigate();
  const { due_next: hours, backlog } = overview;
  const x = useMemo(() => hours.map(({ at }) => Date.parse(at) / 1000), [hours]);
  const series = useMemo(
    () => [{ label: t.attemptsDue, tone: "waiting", values: hours.map(({ count }) => count) }],
    [hours, t],
  );
  const total = hours.reduce((sum, { count }) => sum + count, 0);
  return (
    <Panel
      title={t.dueNext}
      aside={
        <>
          <Link
            className={classes.link}
            to="/tasks"
            search={{ q: inGroup(group, "next:<1d"), sort: "next_attempt_at" }}
          >
            {t.dueCount(total)}
          </Link>
          {backlog.overdue > 0 ? (
            <Link
              className={classes.overdue}
              to="/tasks"
              search={{ q: inGroup(group, "status:pending,waiting,parked next:<0s"), sort: "next_attempt_at" }}
            >
              {t.overdue(backlog.overdue)}
            </Link>
          ) : (
            <span>{t.onTime}</span>
          )}
        </>
      }
    >
      <Chart
        label={`${t.dueNext}: ${t.dueCount(total)}`}
        x={x}
        series={series}
        height={132}
        onPick={(index) => {
          const at = x[index];
          if (at === undefined) return;
          const q = inGroup(group, within("next", new Date(at * 1000), HOUR));
          void navigate({ to: "/tasks", search: { q, sort: "next_attempt_at" } });
        }}
      />
    </Panel>
  );
}
