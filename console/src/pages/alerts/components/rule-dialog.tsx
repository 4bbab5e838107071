import { Checkbox, NativeSelect, Switch, TagsInput, TextInput } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { api, type Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { DurationInput } from "@/ui/duration-input";
import { Figure } from "@/ui/figure";
import { QuietHoursList } from "@/ui/quiet-hours";
import { sayDone } from "@/ui/say";
import { Loading } from "@/ui/states";
import { messages } from "../messages";
import classes from "./alerts.module.css";
import type { Channel } from "./channel-fields";
import { about, type Draft, draftOf, NEW, type Rule, saidOf, useConditions, useNames } from "./rule-form";
import { useSentences } from "./sentence";

/** Asks for all that a rule says, and says in words what it comes to. */
export function RuleDialog({
  rule,
  channels,
  onDone,
  onClose,
}: {
  rule: Rule | null;
  channels: readonly Channel[];
  onDone: () => Promise<unknown>;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const { whole } = useSentences();
  const conditions = useConditions().data?.items ?? [];
  const groups = useNames("group");
  const scenes = useNames("scene");
  // One channel is the one that is meant.
  const [draft, setDraft] = useState<Draft>(
    rule ? draftOf(rule) : { ...NEW, channels: channels.length === 1 ? channels.map(({ id }) => id) : [] },
  );
  const set = (changes: Partial<Draft>) => setDraft({ ...draft, ...changes });
  const condition = conditions.find(({ event }) => event === draft.event);
  const named = channels.filter(({ id }) => draft.channels.includes(id)).map(({ name }) => name);
  const share = draft.event === "failure_rate";
  return (
    <ConfirmDialog
      title={rule ? t.editRule : t.newRule}
      action={t.save}
      size={680}
      disabled={!draft.name.trim() || !condition}
      placed={(field) => field in NEW || field.startsWith("quiet_hours[")}
      onClose={onClose}
      onConfirm={async () => {
        const body = { ...draft, name: draft.name.trim() };
        if (rule) {
          const params = { path: { rule_id: rule.id } };
          await api.PATCH("/v1/alerts/rules/{rule_id}", { params, body: body as Schema<"AlertRuleChange"> });
        } else await api.POST("/v1/alerts/rules", { body: body as Schema<"AlertRuleCreation"> });
        await onDone();
        sayDone(t.saved);
      }}
    >
      {(refused) => (
        <div className={classes.fields}>
          <div className={classes.row}>
            <TextInput
              label={t.name}
              placeholder={t.ruleName}
              size="xs"
              value={draft.name}
              error={refused.name}
              onChange={(event) => set({ name: event.currentTarget.value })}
              data-autofocus
            />
            <NativeSelect
              label={t.on}
              size="xs"
              value={draft.event}
              error={refused.event}
              data={conditions.map(({ event }) => ({ value: event, label: t.event[event] }))}
              onChange={(chosen) => {
                const other = conditions.find(({ event }) => event === chosen.currentTarget.value);
                if (other) setDraft(about(draft, other));
              }}
            />
          </div>
          {!condition ? (
            <Loading rows={8} />
          ) : (
            <>
              <Section title={t.firesWhen}>
                <div className={classes.row}>
                  <Figure
                    label={t.threshold}
                    percent={share}
                    whole={!share}
                    unit={t.unit[draft.event]}
                    unitWidth={72}
                    error={refused.threshold}
                    placeholder={String(share ? condition.threshold * 100 : condition.threshold)}
                    value={draft.threshold}
                    onChange={(threshold) => set({ threshold })}
                  />
                  <DurationInput
                    key={draft.event}
                    label={condition.happens ? t.window : t.lasting}
                    value={draft.window_seconds}
                    usual={condition.window_seconds}
                    error={refused.window_seconds}
                    onChange={(window_seconds) => set({ window_seconds })}
                  />
                  {share && (
                    <Figure
                      label={t.minimum}
                      whole
                      error={refused.minimum}
                      value={draft.minimum}
                      onChange={(minimum) => set({ minimum: minimum ?? NEW.minimum })}
                    />
                  )}
                </div>
              </Section>
              <Section title={t.scope}>
                <div className={classes.row}>
                  <Names
                    label={t.groups}
                    known={groups}
                    value={draft.groups}
                    error={refused.groups}
                    onChange={(chosen) => set({ groups: chosen })}
                  />
                  {condition.has_scene && (
                    <Names
                      label={t.scenes}
                      known={scenes}
                      value={draft.scenes}
                      error={refused.scenes}
                      onChange={(chosen) => set({ scenes: chosen })}
                    />
                  )}
                </div>
                {condition.group_by.length > 0 && (
                  <Checkbox.Group
                    label={t.groupBy}
                    description={t.groupByHint}
                    size="xs"
                    error={refused.group_by}
                    value={draft.group_by}
                    onChange={(chosen) => set({ group_by: condition.group_by.filter((one) => chosen.includes(one)) })}
                  >
                    <div className={classes.choices}>
                      {condition.group_by.map((one) => (
                        <Checkbox key={one} value={one} label={t.dimension[one]} />
                      ))}
                    </div>
                  </Checkbox.Group>
                )}
              </Section>
              <Section title={t.channels}>
                {channels.length === 0 ? (
                  <p className={classes.hint}>{t.noChannelsYet}</p>
                ) : (
                  <Checkbox.Group
                    aria-label={t.channels}
                    error={refused.channels}
                    value={draft.channels}
                    onChange={(chosen) => set({ channels: chosen })}
                  >
                    <div className={classes.choices}>
                      {channels.map(({ id, name, kind }) => (
                        <Checkbox key={id} value={id} label={`${name} (${t.kinds[kind]})`} />
                      ))}
                    </div>
                  </Checkbox.Group>
                )}
              </Section>
              <Section title={t.telling}>
                <div className={classes.row}>
                  <DurationInput
                    label={t.coolDown}
                    value={draft.cool_down_seconds}
                    error={refused.cool_down_seconds}
                    onChange={(seconds) => set({ cool_down_seconds: seconds ?? 0 })}
                  />
                  <DurationInput
                    label={t.repeat}
                    placeholder={t.never}
                    value={draft.repeat_seconds}
                    error={refused.repeat_seconds}
                    onChange={(repeat_seconds) => set({ repeat_seconds })}
                  />
                  <Figure
                    label={t.rateLimit}
                    whole
                    placeholder={t.noLimit}
                    error={refused.rate_limit_per_hour}
                    value={draft.rate_limit_per_hour}
                    onChange={(rate_limit_per_hour) => set({ rate_limit_per_hour })}
                  />
                </div>
                <Switch
                  size="sm"
                  label={t.recovery}
                  checked={draft.recovery}
                  onChange={(to) => set({ recovery: to.currentTarget.checked })}
                />
                <div>
                  <h4 className={classes.label}>{t.quietHours}</h4>
                  <p className={classes.hint}>{t.quietHint}</p>
                </div>
                <QuietHoursList
                  value={draft.quiet_hours}
                  refused={refused}
                  onChange={(quiet_hours) => set({ quiet_hours })}
                />
                {refused.quiet_hours && <p className={classes.bad}>{refused.quiet_hours}</p>}
              </Section>
              <p className={classes.sentence} aria-live="polite">
                {whole(saidOf(draft, condition), named)}
              </p>
            </>
          )}
          <Switch
            size="sm"
            label={t.enabled}
            checked={draft.enabled}
            onChange={(to) => set({ enabled: to.currentTarget.checked })}
          />
        </div>
      )}
    </ConfirmDialog>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className={classes.section} aria-label={title}>
      <h3>{title}</h3>
      {children}
    </section>
  );
}

/** Names that are known, and any others: a rule may be older than what it is about. */
function Names({
  label,
  known,
  value,
  error,
  onChange,
}: {
  label: string;
  known: readonly string[];
  value: readonly string[];
  error?: string;
  onChange: (value: string[]) => void;
}) {
  const t = useMessages(messages);
  return (
    <TagsInput
      label={label}
      size="xs"
      placeholder={value.length === 0 ? t.anywhere : undefined}
      data={[...known]}
      splitChars={[",", " "]}
      value={[...value]}
      error={error}
      onChange={onChange}
    />
  );
}
