import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { api, type Schema } from "@/api/client";
import { Problem } from "@/api/problem";
import { formatNumber, useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { Chart } from "@/ui/chart";
import { Figure } from "@/ui/figure";
import { Legend } from "@/ui/legend";
import { Panel } from "@/ui/page";
import { Loading } from "@/ui/states";
import { messages } from "./messages";
import { asRequest, type Parts } from "./parts";
import classes from "./simulator.module.css";

type Simulation = Schema<"SimulationResult">;

/** What a policy does in an outage, as one edits it: its schedule, who survives, and the load when the target returns. */
export function Simulator({ parts }: { parts: Parts }) {
  const t = useMessages(messages);
  const [outage, setOutage] = useState(600);
  const [tasks, setTasks] = useState(1000);
  const [attempt, setAttempt] = useState(1);
  const [asked] = useDebouncedValue(
    { policy: asRequest(parts), outage_seconds: outage, tasks, attempt_seconds: attempt, seed: 0 },
    250,
  );
  const query = useQuery({
    queryKey: ["simulate", asked],
    queryFn: async ({ signal }) =>
      (await api.POST("/v1/policies/simulate", { body: asked, signal })).data as Simulation,
    placeholderData: keepPreviousData,
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const problem = query.error ? Problem.of(query.error) : null;
  return (
    <Panel title={t.simulator}>
      <div className={classes.scenario}>
        <Figure label={t.outage} value={outage} unit="s" onChange={(seconds) => setOutage(seconds ?? 0)} />
        <Figure label={t.outageTasks} value={tasks} whole onChange={(count) => setTasks(Math.max(1, count ?? 1))} />
        <Figure label={t.attemptSeconds} value={attempt} unit="s" onChange={(seconds) => setAttempt(seconds ?? 0)} />
      </div>
      {problem ? (
        <div className={classes.refused} role="alert">
          <strong>{t.invalidPolicy}</strong>
          {problem.errors.length === 0 && <div>{problem.detail}</div>}
          {problem.errors.map(({ field, message }) => (
            <div key={field}>
              {field}: {message}
            </div>
          ))}
        </div>
      ) : query.data ? (
        <div className={query.isPlaceholderData ? classes.stale : undefined}>
          <Figures of={query.data} />
          <Plots of={query.data} />
        </div>
      ) : (
        <Loading rows={8} />
      )}
    </Panel>
  );
}

function Figures({ of }: { of: Simulation }) {
  const t = useMessages(messages);
  const peak = of.load.peak_after_outage;
  return (
    <dl className={classes.figures}>
      <div
        className={classes.figure}
        data-bad={of.survival < 0.995 || undefined}
        data-good={of.survival >= 0.995 || undefined}
      >
        <dt>{t.survives}</dt>
        <dd>
          {formatNumber(Math.floor(of.survival * 1000) / 10)} %<small>{t.lost(of.lost_tasks)}</small>
        </dd>
      </div>
      <div className={classes.figure}>
        <dt>{t.lastAttempt}</dt>
        <dd>
          {formatDuration(of.total.median_seconds)}
          <small>
            {formatDuration(of.total.earliest_seconds)} – {formatDuration(of.total.latest_seconds)}
          </small>
        </dd>
      </div>
      <div className={classes.figure}>
        <dt>{t.amplification}</dt>
        <dd>{formatNumber(Number(of.load.amplification.toFixed(1)))}</dd>
      </div>
      <div className={classes.figure}>
        <dt>{t.peakAfter}</dt>
        <dd>{peak ? t.perSecond(peak.requests_per_second) : "–"}</dd>
      </div>
    </dl>
  );
}

function Plots({ of }: { of: Simulation }) {
  const t = useMessages(messages);
  const schedule = useMemo(
    () => ({
      x: of.attempts.map(({ number }) => number),
      series: [
        {
          label: t.latest,
          values: of.attempts.map(({ starts }) => starts.latest_seconds),
          tone: "parked",
          kind: "line",
        },
        {
          label: t.median,
          values: of.attempts.map(({ starts }) => starts.median_seconds),
          tone: "accent",
          kind: "line",
        },
        {
          label: t.earliest,
          values: of.attempts.map(({ starts }) => starts.earliest_seconds),
          tone: "succeeded",
          kind: "line",
          dashed: true,
        },
      ] as const,
    }),
    [of, t],
  );
  const load = useMemo(
    () => ({
      x: of.load.buckets.map(({ starts_seconds }) => starts_seconds),
      series: [
        {
          label: t.requests,
          values: of.load.buckets.map(({ requests_per_second }) => requests_per_second),
          tone: "accent",
          kind: "area",
        },
      ] as const,
    }),
    [of, t],
  );
  return (
    <>
      <div className={classes.plotHead}>
        <h3>{t.schedulePlotTitle}</h3>
        <Legend series={schedule.series} />
      </div>
      <Chart
        label={t.attemptsPlot}
        {...schedule}
        height={160}
        format={duration}
        steps={DURATIONS}
        xFormat={t.number}
        xSteps={WHOLE}
      />
      <div className={classes.plotHead}>
        <h3>{t.loadPlotTitle}</h3>
        <Legend series={load.series} />
      </div>
      <Chart label={t.loadPlot} {...load} height={140} format={rate} xFormat={duration} xSteps={DURATIONS} />
      <p className={classes.note}>{t.withoutBreaker}</p>
    </>
  );
}

/** Distances between marks of an axis that a person reads at a glance: whole seconds, minutes, hours and days. */
const WHOLE = [1, 10, 100, 1000, 10_000].flatMap((power) => [power, 2 * power, 5 * power]);
const DURATIONS = [
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * 60),
  ...[1, 2, 3, 6, 12].map((hours) => hours * 3600),
  ...WHOLE.map((days) => days * 86_400),
];

const duration = (value: number) => (value === 0 ? "0" : formatDuration(value));
const rate = (value: number) => formatNumber(Number(value.toPrecision(2)));
