import { NativeSelect, NumberInput, Switch, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconAlertTriangle } from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { api, type Schema } from "@/api/client";
import { formatNumber, useLanguage, useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import type { Selection } from "@/tasks/selection";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { JsonEditor, parseJson } from "@/ui/json";
import { sayDone } from "@/ui/say";
import { Failed, Loading } from "@/ui/states";
import { messages } from "./messages";
import classes from "./redrive-dialog.module.css";

const SETTLED_MS = 400;
const SHARES = 6;
const WRITTEN = ["policy", "target", "payload_patch"] as const;
const ORDERS = ["oldest", "newest", "priority"] as const;

/** Replays many dead tasks: counts them first, and says how fast, in which order and when it stops by itself. */
export function RedriveDialog({ selection, onClose }: { selection: Selection; onClose: () => void }) {
  const t = useMessages(messages);
  const navigate = useNavigate();
  const [rate, setRate] = useState(10);
  const [concurrency, setConcurrency] = useState(100);
  const [most, setMost] = useState<number | null>(null);
  const [order, setOrder] = useState<(typeof ORDERS)[number]>("oldest");
  const [doubling, setDoubling] = useState<number | null>(10);
  const [stop, setStop] = useState<{ ratio: number; minimum: number } | null>({ ratio: 0.5, minimum: 20 });
  const [hours, setHours] = useState<{ start: string; end: string; timezone: string } | null>(null);
  const [counters, setCounters] = useState<"reset" | "keep">("reset");
  const [texts, setTexts] = useState<Record<(typeof WRITTEN)[number], string>>({
    policy: "null",
    target: "null",
    payload_patch: "null",
  });
  const parsed = WRITTEN.map((name) => [name, parseJson(texts[name])] as const);
  const broken = parsed.some(([, value]) => "why" in value);
  const written = Object.fromEntries(parsed.map(([name, value]) => [name, "value" in value ? value.value : null]));
  const request = {
    action: "replay",
    selection,
    rate_per_second: rate,
    concurrency,
    max_items: most,
    order,
    ...(doubling === null ? { ramp: null } : { ramp: { doubling_seconds: doubling } }),
    stop,
    window: hours,
    counters,
    ...written,
  } as unknown as Schema<"RedriveRequest">;
  const [asked] = useDebouncedValue(JSON.stringify(request), SETTLED_MS);
  const preview = useQuery({
    queryKey: ["redrive", "preview", asked],
    queryFn: async () => {
      const body = { ...(JSON.parse(asked) as Schema<"RedriveRequest">), dry_run: true };
      const { data } = await api.POST("/v1/redrives", { body });
      return data as Schema<"RedrivePreview">;
    },
    placeholderData: keepPreviousData,
  });
  const found = preview.data;

  async function begin(reason: string | null) {
    const { data } = await api.POST("/v1/redrives", { body: { ...request, reason } });
    const made = data as Schema<"RedriveResource">;
    sayDone(t.begun(made.counts.total));
    await navigate({ to: "/redrives/$redriveId", params: { redriveId: made.id } });
  }
  const number = (label: string, value: number | null, set: (value: number) => void, more: object = {}) => (
    <NumberInput
      label={label}
      size="xs"
      min={1}
      hideControls
      allowNegative={false}
      value={value ?? ""}
      onChange={(next) => {
        if (next !== "") set(Number(next));
      }}
      {...more}
    />
  );
  return (
    <ConfirmDialog
      title={t.title}
      action={found ? t.submit(found.count) : t.title}
      size={680}
      askReason
      disabled={!found || found.count === 0 || broken || preview.isPlaceholderData || preview.isError}
      onConfirm={begin}
      onClose={onClose}
    >
      <div className={classes.fields}>
        {preview.error ? (
          <Failed error={preview.error} onRetry={() => void preview.refetch()} />
        ) : found ? (
          <Preview found={found} />
        ) : (
          <Loading rows={3} />
        )}
        <div className={classes.row}>
          {number(t.rate, rate, setRate, { min: 0.001, max: 1000 })}
          {number(t.concurrency, concurrency, setConcurrency, { max: 10_000, allowDecimal: false })}
          {number(t.maxItems, most, setMost, {
            placeholder: t.all,
            allowDecimal: false,
            onChange: (next: number | string) => setMost(next === "" ? null : Number(next)),
          })}
          <NativeSelect
            label={t.order}
            size="xs"
            value={order}
            onChange={(event) => setOrder(event.currentTarget.value as typeof order)}
            data={ORDERS.map((value) => ({ value, label: t.orders[value] }))}
          />
        </div>
        <Option label={t.ramp} on={doubling !== null} onSwitch={(on) => setDoubling(on ? 10 : null)}>
          {number(t.doubling, doubling, setDoubling)}
        </Option>
        <Option label={t.stop} on={stop !== null} onSwitch={(on) => setStop(on ? { ratio: 0.5, minimum: 20 } : null)}>
          {stop && (
            <>
              {number(t.stopRatio, Math.round(stop.ratio * 100), (value) => setStop({ ...stop, ratio: value / 100 }), {
                max: 100,
              })}
              {number(t.stopMinimum, stop.minimum, (minimum) => setStop({ ...stop, minimum }), { allowDecimal: false })}
            </>
          )}
        </Option>
        <details className={classes.more}>
          <summary>{t.advanced}</summary>
          <div className={classes.fields}>
            <Option
              label={t.hours}
              on={hours !== null}
              onSwitch={(on) =>
                setHours(
                  on
                    ? { start: "22:00", end: "06:00", timezone: Intl.DateTimeFormat().resolvedOptions().timeZone }
                    : null,
                )
              }
            >
              {hours &&
                (["start", "end", "timezone"] as const).map((name) => (
                  <TextInput
                    key={name}
                    size="xs"
                    type={name === "timezone" ? "text" : "time"}
                    label={{ start: t.from, end: t.until, timezone: t.zone }[name]}
                    value={hours[name]}
                    onChange={(event) => setHours({ ...hours, [name]: event.currentTarget.value })}
                  />
                ))}
            </Option>
            <NativeSelect
              label={t.counters}
              size="xs"
              value={counters}
              onChange={(event) => setCounters(event.currentTarget.value as typeof counters)}
              data={(["reset", "keep"] as const).map((value) => ({ value, label: t.countersOf[value] }))}
            />
            {WRITTEN.map((name) => (
              <JsonEditor
                key={name}
                rows={6}
                label={{ policy: t.policy, target: t.target, payload_patch: t.patch }[name]}
                description={t.nullHint}
                text={texts[name]}
                onChange={(text) => setTexts({ ...texts, [name]: text })}
              />
            ))}
          </div>
        </details>
      </div>
    </ConfirmDialog>
  );
}

function Preview({ found }: { found: Schema<"RedrivePreview"> }) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  if (found.count === 0) return <p>{t.none}</p>;
  return (
    <>
      <div className={classes.count}>
        <span>
          <b>{t.count(found.count)}</b> {found.matched > found.count && t.limited(found.matched)} {t.countText}
        </span>
        <span>
          {found.estimate_seconds === null ? t.takesLong : t.takes(formatDuration(found.estimate_seconds, spoken))}
        </span>
      </div>
      {found.warnings.map((warning) => (
        <div key={warning} className={classes.warning} role="note">
          <IconAlertTriangle size={15} aria-hidden />
          {warning}
        </div>
      ))}
      <div className={classes.shares}>
        <Shares
          title={t.byScene}
          of={found.by_scene.map(({ group, scene, count }) => [`${group} / ${scene}`, count])}
        />
        <Shares
          title={t.byError}
          of={found.by_error.map(({ error_type, message, count }) => [
            [error_type, message].filter(Boolean).join(": ") || t.noError,
            count,
          ])}
        />
      </div>
    </>
  );
}

function Shares({ title, of }: { title: string; of: readonly (readonly [string, number])[] }) {
  return (
    <div>
      <h3>{title}</h3>
      <ul>
        {of.slice(0, SHARES).map(([name, count]) => (
          <li key={name}>
            <span title={name}>{name}</span>
            <b>{formatNumber(count)}</b>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Option({
  label,
  on,
  onSwitch,
  children,
}: {
  label: string;
  on: boolean;
  onSwitch: (on: boolean) => void;
  children: ReactNode;
}) {
  return (
    <div className={classes.fields}>
      <Switch size="sm" label={label} checked={on} onChange={(event) => onSwitch(event.currentTarget.checked)} />
      {on && <div className={classes.row}>{children}</div>}
    </div>
  );
}
