import { NativeSelect, Switch, TextInput } from "@mantine/core";
import { IconRestore } from "@tabler/icons-react";
import { type ReactNode, useState } from "react";
import type { Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { Figure } from "@/ui/figure";
import { QuietHoursList } from "@/ui/quiet-hours";
import { BACKOFFS, type PolicyField, type PolicySection, SECTIONS } from "./fields";
import { messages } from "./messages";
import { at, drop, merged, type Parts, put, says } from "./parts";
import classes from "./policy-form.module.css";
import type { Rule } from "./rules";
import { RulesEditor } from "./rules-editor";

export type Origin = Schema<"Setting">["origin"];

/** What quiet hours say where their document says nothing; the server's defaults. */
const QUIET = { start: "", duration_seconds: 0, timezone: "UTC", reason: "" };

/** Tables of delays that have a name. */
const LEVEL_TABLES = ["snailjob-2.0.2", "easy-retry-1.5.0"];
const OWN = "own";
/** What a table of one's own begins with, in seconds. */
const FIRST_LEVELS = [10, 60, 300, 1800];

export interface PolicyFormProps {
  /** What this layer says. */
  parts: Parts;
  /** The policy of the layers below this one; left out where there are many, which differ. */
  below?: Parts;
  /** Which layer below gave a value; `default` where none did. */
  originOf?: (path: string) => Origin;
  /** What stands for a value that is not set here when the layers below are many. */
  asItIs?: string;
  /** Only these; all when left out. */
  sections?: readonly PolicySection["id"][];
  /** What the server refuses, by place. */
  problems?: Readonly<Record<string, string>>;
  onChange: (parts: Parts) => void;
}

/** The parts of one layer's policy. Each value shows where it comes from, and can be given back to the layers below. */
export function PolicyForm(props: PolicyFormProps) {
  const t = useMessages(messages);
  const whole = merged(props.below ?? {}, props.parts);
  return (
    <div className={classes.form}>
      {SECTIONS.filter(({ id }) => props.sections?.includes(id) ?? true).map(({ id, fields }) => (
        <section key={id} className={classes.section} aria-label={t.sections[id]}>
          <div>
            <h3>{t.sections[id]}</h3>
            <p className={classes.hint}>{t.hints[id]}</p>
          </div>
          <div className={classes.fields}>
            {fields
              .filter(({ when }) => when?.(whole) ?? true)
              .map((field) => (
                <Field key={field.path} field={field} whole={whole} {...props} />
              ))}
          </div>
        </section>
      ))}
    </div>
  );
}

function Field({
  field,
  whole,
  parts,
  originOf,
  asItIs,
  problems,
  onChange,
}: PolicyFormProps & { field: PolicyField; whole: Parts }) {
  const t = useMessages(messages);
  const { path, kind } = field;
  const name = t.fields[path.replaceAll(".", "_") as keyof typeof t.fields];
  const here = says(parts, path);
  const value = at(whole, path) ?? (asItIs ? null : field.implied) ?? null;
  const error = problems?.[path];

  function set(next: unknown) {
    if (path === "backoff.kind") onChange({ ...parts, backoff: { ...BACKOFFS[String(next)] } });
    // Jitter is replaced as a whole: its kinds have other fields.
    else if (path === "backoff.jitter.kind")
      onChange(put(parts, "backoff.jitter", next === "proportional" ? { kind: next, ratio: 0.1 } : { kind: next }));
    else if (path === "backoff.jitter.ratio")
      onChange(put(parts, "backoff.jitter", { kind: "proportional", ratio: next }));
    // Without a number there is no rule.
    else if (path === "poison.same_fingerprint" && next === null) onChange(put(parts, "poison", null));
    else onChange(put(parts, path, next));
  }
  // The kind takes with it what belongs to it, and so does what there is none of.
  const goesWhole = path.endsWith(".kind") || path === "backoff.jitter.ratio" || at(parts, path) === undefined;
  const reset = () => onChange(drop(parts, goesWhole ? path.replace(/\.\w+$/, "") : path));
  const label = (
    <span className={classes.label}>
      {name}
      {(here || originOf) && (
        <span className={classes.origin} data-here={here || undefined}>
          {here ? t.setHere : t.origin[originOf?.(path) ?? "default"]}
        </span>
      )}
      {here && (
        <button
          type="button"
          className={classes.reset}
          title={t.reset}
          aria-label={`${t.reset}: ${name}`}
          onClick={reset}
        >
          <IconRestore size={13} />
        </button>
      )}
    </span>
  );

  switch (kind) {
    case "choice":
      return (
        <NativeSelect
          label={label}
          aria-label={name}
          size="xs"
          error={error}
          value={String(value ?? "")}
          onChange={(event) => (event.currentTarget.value ? set(event.currentTarget.value) : reset())}
          data={[
            ...(asItIs ? [{ value: "", label: asItIs }] : []),
            ...(field.choices ?? []).map((choice) => ({
              value: choice,
              label: choice in t.choices ? t.choices[choice as keyof typeof t.choices] : choice,
            })),
          ]}
        />
      );
    case "switch":
      return (
        <div className={classes.switchRow}>
          {label}
          <Switch
            aria-label={name}
            size="sm"
            checked={value === true}
            onChange={(event) => set(event.currentTarget.checked)}
          />
        </div>
      );
    case "text":
      return (
        <TextInput
          label={label}
          aria-label={name}
          size="xs"
          error={error}
          value={String(value ?? "")}
          onChange={(event) => set(event.currentTarget.value)}
        />
      );
    case "rules":
      return (
        <div className={classes.wide} role="group" aria-label={name}>
          {label}
          <RulesEditor rules={(value as Rule[] | null) ?? []} refused={problems ?? {}} onChange={set} />
        </div>
      );
    case "quiet":
      return (
        <div className={classes.wide} role="group" aria-label={name}>
          {label}
          <QuietHoursList
            value={((value as Partial<Schema<"QuietWindow">>[] | null) ?? []).map((hours) => ({ ...QUIET, ...hours }))}
            refused={problems ?? {}}
            onChange={set}
          />
          {error && <p className={classes.bad}>{error}</p>}
        </div>
      );
    case "levels":
      return (
        <div className={classes.wide}>
          <Levels name={name} label={label} value={value} error={problemAt(problems ?? {}, path)} onChange={set} />
        </div>
      );
    default:
      return (
        <Figure
          label={label}
          name={name}
          whole={kind === "whole"}
          percent={kind === "ratio"}
          unit={kind === "seconds" ? inSeconds(value) : ""}
          unitWidth={kind === "seconds" ? 78 : 30}
          error={error}
          placeholder={asItIs ?? (field.open ? t[field.without ?? "open"] : undefined)}
          value={typeof value === "number" ? value : null}
          onChange={(next) => {
            if (next === null && asItIs) reset();
            else set(next ?? (field.open ? null : 0));
          }}
        />
      );
  }
}

/** What the server refuses at a place, or at one of the items of its list. */
function problemAt(problems: Readonly<Record<string, string>>, path: string): string | undefined {
  return Object.entries(problems).find(([place]) => place === path || place.startsWith(`${path}[`))?.[1];
}

/** The unit of a number of seconds, and what a long one is. */
function inSeconds(value: unknown): string {
  return typeof value === "number" && value >= 60 ? `s = ${formatDuration(value)}` : "s";
}

/** A table of delays by its name, or the delays themselves. */
function Levels({
  name,
  label,
  value,
  error,
  onChange,
}: {
  name: string;
  label: ReactNode;
  value: unknown;
  error?: string;
  onChange: (value: unknown) => void;
}) {
  const t = useMessages(messages);
  const own = Array.isArray(value);
  const given = own ? value.join(", ") : "";
  const [typed, setTyped] = useState<{ of: string; text: string } | null>(null);
  // What is typed stays as it is typed, until the delays themselves become other ones.
  const text = typed?.of === given ? typed.text : given;

  function type(next: string) {
    const delays = next.split(/[\s,;]+/).filter((part) => part !== "");
    // What is no number goes to the server as it is: it says which one, and why not.
    const levels = delays.map((delay) => (Number.isNaN(Number(delay)) ? delay : Number(delay)));
    setTyped({ of: levels.join(", "), text: next });
    onChange(levels);
  }
  return (
    <div className={classes.levels}>
      <NativeSelect
        label={label}
        aria-label={name}
        size="xs"
        error={own ? undefined : error}
        value={own ? OWN : String(value ?? "")}
        onChange={({ currentTarget }) => onChange(currentTarget.value === OWN ? FIRST_LEVELS : currentTarget.value)}
        data={[...LEVEL_TABLES, { value: OWN, label: t.ownLevels }]}
      />
      {own && (
        <TextInput
          label={t.levels}
          size="xs"
          error={error}
          value={text}
          onChange={(event) => type(event.currentTarget.value)}
        />
      )}
    </div>
  );
}
