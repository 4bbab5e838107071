import { NativeSelect, NumberInput, Switch, TextInput } from "@mantine/core";
import { IconRestore } from "@tabler/icons-react";
import { type ReactNode, useState } from "react";
import type { Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { JsonEditor, parseJson } from "@/ui/json";
import { QuietHoursList } from "@/ui/quiet-hours";
import { BACKOFFS, type PolicyField, type PolicySection, SECTIONS } from "./fields";
import { messages } from "./messages";
import { at, drop, merged, type Parts, put } from "./parts";
import classes from "./policy-form.module.css";
import type { Rule } from "./rules";
import { RulesEditor } from "./rules-editor";

export type Origin = Schema<"Setting">["origin"];

/** What quiet hours say where their document says nothing; the server's defaults. */
const QUIET = { start: "", duration_seconds: 0, timezone: "UTC", reason: "" };

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
              .filter(({ when }) => !when || when.is.includes(at(whole, when.path)))
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
  const here = at(parts, path) !== undefined;
  const value = at(whole, path) ?? (asItIs ? null : field.implied) ?? null;
  const error = problems?.[path];

  function set(next: unknown) {
    if (path === "backoff.kind") onChange({ ...parts, backoff: { ...BACKOFFS[String(next)] } });
    // Jitter is replaced as a whole: its kinds have other fields.
    else if (path === "backoff.jitter.kind")
      onChange(put(parts, "backoff.jitter", next === "proportional" ? { kind: next, ratio: 0.1 } : { kind: next }));
    else if (path === "backoff.jitter.ratio")
      onChange(put(parts, "backoff.jitter", { kind: "proportional", ratio: next }));
    else onChange(put(parts, path, next));
  }
  // The kind takes with it what belongs to it.
  const reset = () =>
    onChange(
      drop(parts, path.endsWith(".kind") || path === "backoff.jitter.ratio" ? path.replace(/\.\w+$/, "") : path),
    );
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
    case "json":
      return (
        <div className={classes.wide}>
          <Json name={name} label={label} value={value} error={error} onChange={set} />
        </div>
      );
    default:
      return (
        <NumberInput
          label={label}
          aria-label={name}
          size="xs"
          error={error}
          hideControls
          allowNegative={false}
          allowDecimal={kind !== "whole"}
          placeholder={asItIs ?? (field.open ? t.open : undefined)}
          value={typeof value === "number" ? (kind === "ratio" ? Number((value * 100).toFixed(4)) : value) : ""}
          onChange={(next) => {
            if (next === "" && asItIs) reset();
            else if (next === "") set(field.open ? null : 0);
            else set(kind === "ratio" ? Number(next) / 100 : Number(next));
          }}
          rightSection={<Unit kind={kind} value={value} />}
          rightSectionWidth={kind === "seconds" ? 78 : 30}
          rightSectionPointerEvents="none"
        />
      );
  }
}

function Unit({ kind, value }: { kind: PolicyField["kind"]; value: unknown }) {
  if (kind === "ratio") return <span className={classes.unit}>%</span>;
  if (kind !== "seconds") return null;
  const long = typeof value === "number" && value >= 60 ? ` = ${formatDuration(value)}` : "";
  return <span className={classes.unit}>s{long}</span>;
}

function Json({
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
  const given = JSON.stringify(value, null, 2);
  const [typed, setTyped] = useState<{ of: string; text: string } | null>(null);
  // What is typed stays as it is typed, until the value itself becomes another one.
  const text = typed && typed.of === given ? typed.text : given;
  return (
    <div>
      {label}
      <JsonEditor
        label={name}
        hideLabel
        text={text}
        error={error}
        rows={10}
        onChange={(next) => {
          const parsed = parseJson(next);
          setTyped({ of: "value" in parsed ? JSON.stringify(parsed.value, null, 2) : given, text: next });
          if ("value" in parsed) onChange(parsed.value);
        }}
      />
    </div>
  );
}
