import { Autocomplete, Checkbox, NativeSelect, NumberInput, Switch, TextInput } from "@mantine/core";
import type { ReactNode } from "react";
import { useLanguage, useMessages } from "@/i18n/language";
import { HeaderList } from "@/ui/header-list";
import { DAYS, type Faults, type Hours, type Target } from "./form";
import { messages } from "./messages";
import classes from "./redrive-dialog.module.css";

const METHODS = ["POST", "PUT", "PATCH", "DELETE", "GET"];
const MONDAY = Date.UTC(2024, 0, 1);
const DAY_MS = 86_400_000;
const MOST_ZONES = 12;

/** A number that may be cleared on the way to another one. What is wrong with it, the server says. */
export function Figure({
  label,
  unit,
  value,
  onChange,
  whole,
  percent,
  placeholder,
  error,
}: {
  label: string;
  /** Stands behind the number. */
  unit?: string;
  value: number | null;
  onChange: (value: number | null) => void;
  whole?: boolean;
  /** It is shown as a percentage and kept as a share of 1. */
  percent?: boolean;
  placeholder?: string;
  error?: string;
}) {
  const factor = percent ? 100 : 1;
  return (
    <NumberInput
      label={label}
      size="xs"
      hideControls
      allowNegative={false}
      allowDecimal={!whole}
      placeholder={placeholder}
      error={error}
      value={value === null ? "" : Number((value * factor).toFixed(6))}
      onChange={(next) => onChange(next === "" ? null : Number(next) / factor)}
      rightSection={<span className={classes.unit}>{percent ? "%" : unit}</span>}
      rightSectionWidth={48}
      rightSectionPointerEvents="none"
    />
  );
}

/** Something that is on or off, and its fields while it is on. */
export function Option({
  label,
  hint,
  on,
  onSwitch,
  error,
  children,
}: {
  label: string;
  hint?: string;
  on: boolean;
  onSwitch: (on: boolean) => void;
  /** What is wrong with it and belongs to none of its fields. */
  error?: string;
  children: ReactNode;
}) {
  return (
    <div className={classes.option}>
      <Switch
        size="sm"
        label={label}
        description={hint}
        checked={on}
        onChange={(event) => onSwitch(event.currentTarget.checked)}
      />
      {on && <div className={classes.inside}>{children}</div>}
      {on && error && (
        <p className={classes.fault} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

export function HoursFields({
  hours,
  onChange,
  faults,
}: {
  hours: Hours;
  onChange: (hours: Hours) => void;
  faults: Faults;
}) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const named = new Intl.DateTimeFormat(spoken === "zh" ? "zh-CN" : "en-GB", { weekday: "short", timeZone: "UTC" });
  return (
    <>
      <div className={classes.row}>
        {(["start", "end"] as const).map((name) => (
          <TextInput
            key={name}
            size="xs"
            type="time"
            label={name === "start" ? t.from : t.until}
            value={hours[name]}
            error={faults.at(`window.${name}`)}
            onChange={(event) => onChange({ ...hours, [name]: event.currentTarget.value })}
          />
        ))}
        <Autocomplete
          size="xs"
          label={t.zone}
          data={Intl.supportedValuesOf("timeZone")}
          limit={MOST_ZONES}
          value={hours.timezone}
          error={faults.at("window.timezone")}
          onChange={(timezone) => onChange({ ...hours, timezone })}
        />
      </div>
      <Checkbox.Group
        size="xs"
        label={t.days}
        description={t.daysHint}
        value={[...hours.days]}
        onChange={(chosen) => onChange({ ...hours, days: DAYS.filter((day) => chosen.includes(day)) })}
      >
        <div className={classes.days}>
          {DAYS.map((day, index) => (
            <Checkbox key={day} value={day} label={named.format(MONDAY + index * DAY_MS)} />
          ))}
        </div>
      </Checkbox.Group>
    </>
  );
}

export const KINDS = ["node", "worker", "webhook"] as const;

/** What is filled in first when a kind of target is chosen; null for anything else. */
export function firstTarget(kind: string): Target | null {
  const first: Record<string, Target> = {
    node: { kind: "node" },
    worker: { kind: "worker", task_queue: "" },
    webhook: { kind: "webhook", url: "https://", method: "POST", headers: [] },
  };
  return first[kind] ?? null;
}

/** Where the tasks are sent instead, beyond its kind. */
export function TargetFields({
  target,
  onChange,
  faults,
}: {
  target: Target;
  onChange: (target: Target) => void;
  faults: Faults;
}) {
  const t = useMessages(messages);
  const rest = faults.rest("target", ["task_queue", "url", "method"]);
  if (target.kind === "node" && !rest) return null;
  return (
    <div className={classes.inside}>
      {target.kind === "worker" && (
        <TextInput
          label={t.taskQueue}
          size="xs"
          value={target.task_queue}
          error={faults.at("target.task_queue")}
          onChange={(event) => onChange({ ...target, task_queue: event.currentTarget.value })}
        />
      )}
      {target.kind === "webhook" && <WebhookFields target={target} onChange={onChange} faults={faults} />}
      {rest && (
        <p className={classes.fault} role="alert">
          {rest}
        </p>
      )}
    </div>
  );
}

function WebhookFields({
  target,
  onChange,
  faults,
}: {
  target: Target & { kind: "webhook" };
  onChange: (target: Target) => void;
  faults: Faults;
}) {
  const t = useMessages(messages);
  return (
    <>
      <div className={classes.webhook}>
        <NativeSelect
          label={t.method}
          size="xs"
          value={target.method}
          data={METHODS}
          error={faults.at("target.method")}
          onChange={(event) => onChange({ ...target, method: event.currentTarget.value })}
        />
        <TextInput
          label={t.url}
          size="xs"
          value={target.url}
          error={faults.at("target.url")}
          onChange={(event) => onChange({ ...target, url: event.currentTarget.value })}
        />
      </div>
      <HeaderList value={target.headers} onChange={(headers) => onChange({ ...target, headers })} />
    </>
  );
}
