import { NativeSelect } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api, type Schema } from "@/api/client";
import { Faults } from "@/api/faults";
import { Problem } from "@/api/problem";
import { useLanguage, useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { PolicyForm } from "@/policy/policy-form";
import type { Selection } from "@/tasks/selection";
import { TargetChoice, TargetFields } from "@/tasks/target-fields";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { Figure } from "@/ui/figure";
import { parseJson } from "@/ui/json";
import { Option } from "@/ui/option";
import { sayDone } from "@/ui/say";
import { Failed, Loading } from "@/ui/states";
import {
  type Action,
  asRedrive,
  COUNTERS,
  changes,
  FIRST_PATCH,
  FORM,
  type Form,
  ORDERS,
  type Preview,
  RAMP,
  STOP,
} from "./form";
import { HoursFields } from "./hours-fields";
import { messages } from "./messages";
import { PayloadPatch } from "./payload-patch";
import { PreviewOf } from "./preview";
import classes from "./redrive-dialog.module.css";

const SETTLED_MS = 300;
const FIELDS = [
  "rate_per_second",
  "concurrency",
  "max_items",
  "ramp",
  "stop",
  "window",
  "policy",
  "target",
  "payload_patch",
];

/** Does something with many tasks: counts them first, and says how fast, in which order and when it stops by itself. */
export function RedriveDialog({
  action = "replay",
  selection,
  onDone,
  onClose,
}: {
  action?: Action;
  selection: Selection;
  onDone?: () => void;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const navigate = useNavigate();
  const [form, setForm] = useState(FORM);
  const change = (part: Partial<Form>) => setForm((now) => ({ ...now, ...part }));
  const request = asRedrive(action, selection, form);
  const idle = action === "change_policy" && !changes(form.policy);
  const broken = form.patch !== null && "why" in parseJson(form.patch);
  const [asked] = useDebouncedValue(JSON.stringify(request), SETTLED_MS);
  const preview = useQuery({
    queryKey: ["redrive", "preview", asked],
    queryFn: async ({ signal }) => {
      const body = { ...(JSON.parse(asked) as Schema<"RedriveRequest">), dry_run: true };
      const { data } = await api.POST("/v1/redrives", { body, signal });
      return data as Preview;
    },
    placeholderData: keepPreviousData,
    gcTime: 0,
  });
  // What was counted last stays in sight while a field is being mended.
  const [found, setFound] = useState<Preview>();
  const counted = preview.data;
  useEffect(() => setFound((last) => counted ?? last), [counted]);
  const refusal = preview.error ? Problem.of(preview.error) : null;
  const faults = new Faults(refusal?.errors ?? []);
  const elsewhere = refusal?.errors.every(({ field }) => !FIELDS.includes(field.split(/[.[]/)[0] ?? "")) ?? false;
  const settled = asked === JSON.stringify(request) && !preview.isPlaceholderData && !preview.isFetching;
  const title = found ? t.submit[action](found.count) : t.action[action];

  async function begin(reason: string | null) {
    const { data } = await api.POST("/v1/redrives", { body: { ...request, reason } });
    const made = data as Schema<"RedriveResource">;
    onDone?.();
    sayDone(t.begun(made.counts.total));
    await navigate({ to: "/redrives/$redriveId", params: { redriveId: made.id } });
  }
  return (
    <ConfirmDialog
      title={title}
      action={title}
      danger={action === "cancel" || action === "delete"}
      size={720}
      askReason
      note={
        found && found.count > 0 && !refusal
          ? t.note(found.count, found.estimate_seconds === null ? null : formatDuration(found.estimate_seconds, spoken))
          : refusal && !elsewhere && t.mend
      }
      disabled={!found || found.count === 0 || idle || broken || !settled || refusal !== null}
      onConfirm={begin}
      onClose={onClose}
    >
      <div className={classes.fields}>
        {refusal && elsewhere ? (
          <Failed error={refusal} onRetry={refusal.passing ? () => void preview.refetch() : undefined} />
        ) : found ? (
          <PreviewOf
            stale={!settled || refusal !== null}
            found={found}
            action={action}
            keep={action === "replay" && form.counters === "keep"}
          />
        ) : (
          !refusal && <Loading rows={3} />
        )}
        <div className={classes.row}>
          <Figure
            label={t.rate}
            value={form.rate}
            error={faults.at("rate_per_second")}
            onChange={(rate) => change({ rate })}
          />
          <Figure
            label={t.concurrency}
            whole
            value={form.concurrency}
            error={faults.at("concurrency")}
            onChange={(concurrency) => change({ concurrency })}
          />
          <Figure
            label={t.maxItems}
            whole
            placeholder={t.all}
            value={form.most}
            error={faults.at("max_items")}
            onChange={(most) => change({ most })}
          />
          <NativeSelect
            label={t.order}
            size="xs"
            value={form.order}
            onChange={(event) => change({ order: event.currentTarget.value as Form["order"] })}
            data={ORDERS.map((value) => ({ value, label: t.orders[value] }))}
          />
        </div>
        <Ramp form={form} onChange={change} faults={faults} replay={action === "replay"} />
        {action === "replay" && <Stop form={form} onChange={change} faults={faults} />}
        {action === "change_policy" && <PolicyPart form={form} onChange={change} faults={faults} />}
        <details className={classes.more}>
          <summary>{action === "replay" ? t.advanced : t.advancedHours}</summary>
          <div className={classes.fields}>
            <Option
              label={t.hours}
              on={form.hours !== null}
              onSwitch={(on) => change({ hours: on ? nightHours() : null })}
              error={faults.rest("window", ["start", "end", "timezone"])}
            >
              {form.hours && <HoursFields hours={form.hours} faults={faults} onChange={(hours) => change({ hours })} />}
            </Option>
            {action === "replay" && (
              <>
                <div className={classes.row}>
                  <NativeSelect
                    label={t.counters}
                    size="xs"
                    value={form.counters}
                    onChange={(event) => change({ counters: event.currentTarget.value as Form["counters"] })}
                    data={COUNTERS.map((value) => ({ value, label: t.countersOf[value] }))}
                  />
                  <TargetChoice
                    label={t.target}
                    asItIs={t.asItIs}
                    target={form.target}
                    onChange={(target) => change({ target })}
                  />
                </div>
                {form.target && (
                  <TargetFields target={form.target} faults={faults} onChange={(target) => change({ target })} />
                )}
                <PolicyPart form={form} onChange={change} faults={faults} foldable />
                <Option
                  label={t.changePayload}
                  on={form.patch !== null}
                  onSwitch={(on) => change({ patch: on ? FIRST_PATCH : null })}
                >
                  <PayloadPatch
                    text={form.patch ?? ""}
                    error={faults.rest("payload_patch")}
                    selection={selection}
                    order={form.order}
                    onChange={(patch) => change({ patch })}
                  />
                </Option>
              </>
            )}
          </div>
        </details>
      </div>
    </ConfirmDialog>
  );
}

interface PartProps {
  form: Form;
  onChange: (part: Partial<Form>) => void;
  faults: Faults;
}

function Ramp({ form, onChange, faults, replay }: PartProps & { replay: boolean }) {
  const t = useMessages(messages);
  const { ramp } = form;
  return (
    <Option
      label={replay ? t.ramp : t.rampPlain}
      on={ramp !== null}
      onSwitch={(on) => onChange({ ramp: on ? RAMP : null })}
      error={faults.rest("ramp", Object.keys(RAMP))}
    >
      {ramp && (
        <div className={classes.row}>
          <Figure
            label={t.share}
            percent
            value={ramp.first_share}
            error={faults.at("ramp.first_share")}
            onChange={(first_share) => onChange({ ramp: { ...ramp, first_share } })}
          />
          <Figure
            label={t.first}
            unit={t.perSecond}
            value={ramp.first_per_second}
            error={faults.at("ramp.first_per_second")}
            onChange={(first_per_second) => onChange({ ramp: { ...ramp, first_per_second } })}
          />
          <Figure
            label={t.doubling}
            unit={t.second}
            value={ramp.doubling_seconds}
            error={faults.at("ramp.doubling_seconds")}
            onChange={(doubling_seconds) => onChange({ ramp: { ...ramp, doubling_seconds } })}
          />
          {replay && (
            <Figure
              label={t.halving}
              percent
              value={ramp.failure_ratio}
              error={faults.at("ramp.failure_ratio")}
              onChange={(failure_ratio) => onChange({ ramp: { ...ramp, failure_ratio } })}
            />
          )}
        </div>
      )}
    </Option>
  );
}

function Stop({ form, onChange, faults }: PartProps) {
  const t = useMessages(messages);
  const { stop } = form;
  return (
    <Option
      label={t.stop}
      on={stop !== null}
      onSwitch={(on) => onChange({ stop: on ? STOP : null })}
      error={faults.rest("stop", Object.keys(STOP))}
    >
      {stop && (
        <div className={classes.row}>
          <Figure
            label={t.stopRatio}
            percent
            value={stop.ratio}
            error={faults.at("stop.ratio")}
            onChange={(ratio) => onChange({ stop: { ...stop, ratio } })}
          />
          <Figure
            label={t.stopMinimum}
            unit={t.tasks}
            whole
            value={stop.minimum}
            error={faults.at("stop.minimum")}
            onChange={(minimum) => onChange({ stop: { ...stop, minimum } })}
          />
        </div>
      )}
    </Option>
  );
}

/** Parts of the policy that become each task's own; what is not set stays as each task has it. */
function PolicyPart({ form, onChange, faults, foldable }: PartProps & { foldable?: boolean }) {
  const t = useMessages(messages);
  const [on, setOn] = useState(!foldable);
  const fields = (
    <PolicyForm
      sections={["schedule", "bounds"]}
      parts={form.policy}
      asItIs={t.asItIs}
      problems={faults.below("policy")}
      onChange={(policy) => onChange({ policy })}
    />
  );
  if (!foldable) return fields;
  return (
    <Option
      label={t.changePolicy}
      hint={t.changePolicyHint}
      on={on}
      onSwitch={(next) => {
        setOn(next);
        onChange({ policy: {} });
      }}
    >
      {fields}
    </Option>
  );
}

const nightHours = () => ({
  start: "22:00",
  end: "06:00",
  timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
  days: [],
});
