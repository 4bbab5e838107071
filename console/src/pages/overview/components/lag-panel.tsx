import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useLanguage, useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { Chart } from "@/ui/chart";
import { Panel } from "@/ui/page";
import { Empty } from "@/ui/states";
import type { Overview } from "../hooks/use-overview";
import { inGroup } from "../links";
import { messages } from "../messages";
import classes from "./lag-panel.module.css";

/** How late attempts begin. */
export function LagPanel({ overview, group }: { overview: Overview; group?: string }) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const { p50_seconds: p50, p99_seconds: p99, series: points } = overview.lag;
  const x = useMemo(() => points.map(({ at }) => Date.parse(at) / 1000), [points]);
  const series = useMemo(
    () => [
      { label: t.p99, tone: "waiting", kind: "area" as const, values: points.map(({ p99_seconds }) => p99_seconds) },
      { label: t.p50, tone: "accent", kind: "line" as const, values: points.map(({ p50_seconds }) => p50_seconds) },
    ],
    [points, t],
  );
  const format = useMemo(() => (value: number) => formatDuration(value, spoken), [spoken]);
  return (
    <Panel title={t.lag} aside={t.lagHint}>
      {p50 === null || p99 === null ? (
        <Empty title={t.noLag} />
      ) : (
        <>
          <div className={classes.figures}>
            <Figure label={t.p50} tone="accent" value={format(p50)} group={group} />
            <Figure label={t.p99} tone="waiting" value={format(p99)} group={group} />
          </div>
          <Chart
            label={`${t.lag}: ${t.p50} ${format(p50)}, ${t.p99} ${format(p99)}`}
            x={x}
            series={series}
            height={136}
            format={format}
          />
        </>
      )}
    </Panel>
  );
}

function Figure({ label, tone, value, group }: { label: string; tone: string; value: string; group?: string }) {
  return (
    <Link
      to="/tasks"
      search={{ q: inGroup(group, "status:pending,waiting,parked next:<0s"), sort: "next_attempt_at" }}
      className={classes.figure}
    >
      <span>
        <i style={{ background: `var(--${tone})` }} />
        {label}
      </span>
      <strong>{value}</strong>
    </Link>
  );
}
