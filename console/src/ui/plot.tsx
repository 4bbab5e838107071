import "uplot/dist/uPlot.min.css";
import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import uPlot, { type Options, type Series } from "uplot";
import { formatCompact, useLanguage } from "@/i18n/language";
import { formatExact } from "@/i18n/time";
import classes from "./plot.module.css";

export interface PlotSeries {
  label: string;
  values: readonly (number | null)[];
  /** A colour of tokens.css by its name: `succeeded`, `dead`, `accent`. */
  tone: string;
  /** How it is drawn; bars stand on one another. */
  kind?: "bars" | "line" | "area";
  dashed?: boolean;
}

export interface PlotProps {
  /** What it shows, for those who cannot see it. */
  label: string;
  /** Seconds since 1970, or any numbers with `xFormat`. Ascending. */
  x: readonly number[];
  series: readonly PlotSeries[];
  height?: number;
  /** Writes a value of the vertical axis. */
  format?: (value: number) => string;
  /** Writes a value of the horizontal axis that is no time. */
  xFormat?: (value: number) => string;
  /** How far apart the marks of an axis may be, ascending; powers of ten and their parts when left out. */
  steps?: readonly number[];
  xSteps?: readonly number[];
  /** The vertical axis grows by factors. */
  logarithmic?: boolean;
  /** Called with the place on the horizontal axis that was clicked. */
  onPick?: (index: number) => void;
}

/** A chart over time, or over any other axis. It takes its colours from the page. */
export default function Plot({
  label,
  x,
  series,
  height = 180,
  format = formatCompact,
  xFormat,
  steps,
  xSteps,
  logarithmic,
  onPick,
}: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const scheme = useComputedColorScheme("light");
  const spoken = useLanguage();
  const pick = useRef(onPick);
  pick.current = onPick;

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    const element = box.current;
    if (!element || width < 40) return;
    // The palette is read anew when the scheme changes.
    element.dataset.scheme = scheme;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
    // Bars stand on one another: each is drawn up to the sum of those before it, so the highest comes first.
    const painted = series.map((entry, index) => ({ entry, values: stack(series)[index] ?? [] })).reverse();
    const font = `11px ${style.getPropertyValue("--font-sans")}`;
    const axis = {
      stroke: colour("ink-3"),
      font,
      ticks: { show: false },
      grid: { stroke: colour("border"), width: 1 },
    };
    const options: Options = {
      width,
      height,
      padding: [10, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
      scales: {
        x: { time: !xFormat, range: barRange(x, series) },
        y: logarithmic ? { distr: 3 } : { range: (_plot, _low, high) => [0, high > 0 ? high * 1.12 : 1] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 28,
          space: 70,
          ...(xSteps ? { incrs: [...xSteps] } : {}),
          ...(xFormat ? { values: (_: uPlot, all: number[]) => all.map(xFormat) } : { values: timeAxis(spoken) }),
        },
        {
          ...axis,
          size: 46,
          space: 34,
          ...(steps ? { incrs: [...steps] } : {}),
          values: (_, all) => all.map((value) => (value === null ? "" : format(value))),
        },
      ],
      series: [{}, ...painted.map(({ entry }) => drawn(entry, colour(entry.tone)))],
      hooks: { setCursor: [(plot) => showTip(plot)] },
    };
    function showTip(plot: uPlot) {
      const card = tip.current;
      const index = plot.cursor.idx;
      if (!card) return;
      const at = index === null || index === undefined ? undefined : x[index];
      card.hidden = at === undefined || index === null || index === undefined;
      if (at === undefined || index === null || index === undefined) return;
      card.replaceChildren(
        line("", xFormat ? xFormat(at) : formatExact(new Date(at * 1000), spoken).replace(/\.\d+/, "")),
        ...series.map((entry) => {
          const value = entry.values[index];
          return line(
            colour(entry.tone),
            `${entry.label} ${value === null || value === undefined ? "–" : format(value)}`,
          );
        }),
      );
      const left = plot.valToPos(at, "x") + plot.over.offsetLeft;
      card.style.transform = `translate(${Math.min(left + 12, width - card.offsetWidth - 4)}px, 8px)`;
      if (left + 12 + card.offsetWidth > width)
        card.style.transform = `translate(${Math.max(0, left - card.offsetWidth - 12)}px, 8px)`;
    }
    const plot = new uPlot(options, [[...x], ...painted.map(({ values }) => values)] as uPlot.AlignedData, element);
    const onClick = () => {
      if (plot.cursor.idx !== null && plot.cursor.idx !== undefined) pick.current?.(plot.cursor.idx);
    };
    plot.over.addEventListener("click", onClick);
    if (pick.current) plot.over.style.cursor = "pointer";
    return () => plot.destroy();
  }, [x, series, width, height, format, xFormat, steps, xSteps, logarithmic, scheme, spoken]);

  return (
    <div className={classes.plot} style={{ minHeight: height }} role="img" aria-label={label}>
      <div ref={box} />
      <div ref={tip} className={classes.tip} hidden />
    </div>
  );
}

function stack(series: readonly PlotSeries[]): (number | null)[][] {
  const sums: number[] = [];
  return series.map(({ values, kind = "bars" }) => {
    if (kind !== "bars") return [...values];
    return values.map((value, index) => {
      sums[index] = (sums[index] ?? 0) + (value ?? 0);
      return sums[index] ?? 0;
    });
  });
}

function drawn({ label, kind = "bars", dashed, values }: PlotSeries, colour: string): Series {
  if (kind === "bars") {
    const paths = uPlot.paths.bars?.({ size: [0.82, 28], radius: [0.12, 0] });
    return { label, fill: colour, stroke: colour, width: 0, points: { show: false }, ...(paths ? { paths } : {}) };
  }
  return {
    label,
    stroke: colour,
    width: 1.75,
    // A bucket in which nothing happened has no value; the line goes on to the next that has.
    spanGaps: true,
    // A line through one point is nothing that could be seen.
    points: { show: values.filter((value) => value !== null).length < 3, size: 5, fill: colour },
    ...(kind === "area" ? { fill: `color-mix(in srgb, ${colour} 14%, transparent)` } : {}),
    ...(dashed ? { dash: [5, 4] } : {}),
  };
}

/** Bars need half a bar of room at both ends. */
function barRange(x: readonly number[], series: readonly PlotSeries[]): [number, number] {
  const first = x[0] ?? 0;
  const last = x.at(-1) ?? 1;
  const bars = series.some(({ kind = "bars" }) => kind === "bars");
  const half = bars ? (last - first) / Math.max(1, x.length - 1) / 2 || 0.5 : 0;
  return [first - half, last === first ? last + 1 : last + half];
}

function timeAxis(spoken: string) {
  const locale = spoken === "zh" ? "zh-CN" : "en-GB";
  const hour = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric" });
  return (_: uPlot, all: number[], __: number, ___: number, step: number) =>
    all.map((value) => (step >= 43_200 ? day : hour).format(new Date(value * 1000)));
}

function line(colour: string, text: string): HTMLElement {
  const row = document.createElement("div");
  if (colour) {
    const dot = document.createElement("i");
    dot.style.background = colour;
    row.append(dot);
  }
  row.append(text);
  return row;
}
