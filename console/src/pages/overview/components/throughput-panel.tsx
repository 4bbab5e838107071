import { useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { useLanguage, useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { Chart } from "@/ui/chart";
import { Legend } from "@/ui/legend";
import { Panel } from "@/ui/page";
import type { Overview } from "../hooks/use-overview";
import { inGroup, within } from "../links";
import { messages } from "../messages";

/** What ended and what failed over time; a click shows the tasks that ended then. */
export function ThroughputPanel({ overview, group }: { overview: Overview; group?: string }) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const navigate = useNavigate();
  const { throughput, bucket_seconds: bucket } = overview;
  const x = useMemo(() => throughput.map(({ at }) => Date.parse(at) / 1000), [throughput]);
  const series = useMemo(
    () => [
      { label: t.succeeded, tone: "succeeded", values: throughput.map(({ succeeded }) => succeeded) },
      { label: t.dead, tone: "dead", values: throughput.map(({ dead }) => dead) },
      {
        label: t.failedAttempts,
        tone: "parked",
        kind: "line" as const,
        values: throughput.map(({ failed }) => failed),
      },
    ],
    [throughput, t],
  );
  const total = (name: "succeeded" | "dead") => throughput.reduce((sum, point) => sum + point[name], 0);
  return (
    <Panel title={t.throughput} aside={<Legend series={series} note={t.per(formatDuration(bucket, spoken))} />}>
      <Chart
        label={`${t.throughput}: ${t.ended(total("succeeded"), total("dead"))}`}
        x={x}
        series={series}
        height={196}
        onPick={(index) => {
          const at = x[index];
          if (at === undefined) return;
          void navigate({
            to: "/tasks",
            search: { q: inGroup(group, within("finished", new Date(at * 1000), bucket)) },
          });
        }}
      />
    </Panel>
  );
}
