import { Button, Checkbox, NativeSelect, NumberInput, Switch, TextInput } from "@mantine/core";
import { IconBan, IconBell, IconBellOff, IconCheck, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { $api, api, type Schema } from "@/api/client";
import { useLive } from "@/api/events";
import { formatNumber, useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { sayDone, sayProblem } from "@/ui/say";
import { Empty, Result } from "@/ui/states";
import { Badge } from "@/ui/status-badge";
import { messages } from "../messages";
import classes from "./alerts.module.css";

type Rule = Schema<"AlertRuleResource">;
type Event = Rule["event"];

const EVENTS = Object.keys(messages.en.event) as Event[];
const MUTE_MS = 3_600_000;

function isMuted({ muted_until }: Rule): boolean {
  return muted_until !== null && Date.parse(muted_until) > Date.now();
}

/** What is worth telling. */
export function Rules() {
  const t = useMessages(messages);
  const rules = $api.useQuery("get", "/v1/alerts/rules", {}, { refetchInterval: 10_000 });
  const channels = $api.useQuery("get", "/v1/alerts/channels");
  useLive(["alerts"], () => void rules.refetch());
  const [edited, setEdited] = useState<Rule | "new" | null>(null);
  const [removed, setRemoved] = useState<Rule | null>(null);
  const named = (id: string) => channels.data?.items.find((channel) => channel.id === id)?.name ?? "…";

  async function mute(rule: Rule) {
    try {
      await api.POST("/v1/alerts/rules/{rule_id}/mute", {
        params: { path: { rule_id: rule.id } },
        body: { until: isMuted(rule) ? null : new Date(Date.now() + MUTE_MS).toISOString() },
      });
      await rules.refetch();
      sayDone(t.saved);
    } catch (error) {
      sayProblem(error);
    }
  }
  return (
    <Panel
      flush
      title={t.tabs.rules}
      aside={
        <Button leftSection={<IconPlus size={14} />} onClick={() => setEdited("new")}>
          {t.newRule}
        </Button>
      }
    >
      <Result query={rules} rows={4}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon={IconBell} title={t.noRules} hint={t.noRulesHint} />
          ) : (
            <Rows
              label={t.tabs.rules}
              head={[t.name, t.on, t.when, t.where, t.channels, t.status, ""]}
              rows={items.map((rule) => ({
                key: rule.id,
                cells: [
                  rule.name,
                  t.event[rule.event],
                  t.from(formatNumber(rule.threshold_in_force), formatDuration(rule.window_in_force_seconds)),
                  [...rule.groups, ...rule.scenes].join(", ") || t.everywhere,
                  rule.channels.map(named).join(", ") || t.historyOnly,
                  <State key="state" of={rule} />,
                  <div key="buttons" className={classes.buttons}>
                    <Button size="compact-xs" onClick={() => void mute(rule)}>
                      {isMuted(rule) ? t.unmute : t.mute}
                    </Button>
                    <Button size="compact-xs" onClick={() => setEdited(rule)}>
                      {t.edit}
                    </Button>
                    <Button size="compact-xs" onClick={() => setRemoved(rule)}>
                      {t.remove}
                    </Button>
                  </div>,
                ],
              }))}
            />
          )
        }
      </Result>
      {edited && (
        <RuleDialog
          rule={edited === "new" ? null : edited}
          channels={channels.data?.items ?? []}
          onDone={() => rules.refetch()}
          onClose={() => setEdited(null)}
        />
      )}
      {removed && (
        <ConfirmDialog
          title={t.removeRule(removed.name)}
          action={t.remove}
          danger
          onClose={() => setRemoved(null)}
          onConfirm={async () => {
            await api.DELETE("/v1/alerts/rules/{rule_id}", { params: { path: { rule_id: removed.id } } });
            await rules.refetch();
            sayDone(t.removed);
          }}
        >
          {t.removeRuleText(removed.firing.length)}
        </ConfirmDialog>
      )}
    </Panel>
  );
}

function State({ of }: { of: Rule }) {
  const t = useMessages(messages);
  const [tone, icon, word] = !of.enabled
    ? (["quiet", IconBan, t.off] as const)
    : isMuted(of)
      ? (["quiet", IconBellOff, t.mutedUntil] as const)
      : of.state === "firing"
        ? (["bad", IconBell, t.state.firing] as const)
        : (["good", IconCheck, t.state.ok] as const);
  return (
    <Badge tone={tone} icon={icon}>
      {word}
    </Badge>
  );
}

function RuleDialog({
  rule,
  channels,
  onDone,
  onClose,
}: {
  rule: Rule | null;
  channels: readonly Schema<"AlertChannelResource">[];
  onDone: () => Promise<unknown>;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const [name, setName] = useState(rule?.name ?? "");
  const [event, setEvent] = useState<Event>(rule?.event ?? "dead_letter");
  const [threshold, setThreshold] = useState<number | null>(rule?.threshold ?? null);
  const [window, setWindow] = useState<number | null>(rule?.window_seconds ?? null);
  const [coolDown, setCoolDown] = useState<number | null>(rule?.cool_down_seconds ?? 900);
  const [groups, setGroups] = useState(rule?.groups.join(", ") ?? "");
  const [scenes, setScenes] = useState(rule?.scenes.join(", ") ?? "");
  const [told, setTold] = useState<readonly string[]>(rule?.channels ?? []);
  const [recovery, setRecovery] = useState(rule?.recovery ?? true);
  const [enabled, setEnabled] = useState(rule?.enabled ?? true);
  const number = (label: string, value: number | null, set: (value: number | null) => void, placeholder?: string) => (
    <NumberInput
      label={label}
      size="xs"
      min={0}
      hideControls
      allowNegative={false}
      placeholder={placeholder}
      value={value ?? ""}
      onChange={(next) => set(next === "" ? null : Number(next))}
    />
  );
  const listed = (text: string) => text.split(/[,\s]+/).filter(Boolean);
  return (
    <ConfirmDialog
      title={rule ? t.editRule : t.newRule}
      action={t.save}
      size={560}
      disabled={!name.trim()}
      onClose={onClose}
      onConfirm={async () => {
        const body = {
          name: name.trim(),
          event,
          threshold,
          window_seconds: window,
          cool_down_seconds: coolDown ?? 0,
          groups: listed(groups),
          scenes: listed(scenes),
          channels: [...told],
          recovery,
          enabled,
        };
        if (rule) {
          await api.PATCH("/v1/alerts/rules/{rule_id}", {
            params: { path: { rule_id: rule.id } },
            body: body as Schema<"AlertRuleChange">,
          });
        } else await api.POST("/v1/alerts/rules", { body: body as Schema<"AlertRuleCreation"> });
        await onDone();
        sayDone(t.saved);
      }}
    >
      <div className={classes.fields}>
        <div className={classes.row}>
          <TextInput label={t.name} size="xs" value={name} onChange={(typed) => setName(typed.currentTarget.value)} />
          <NativeSelect
            label={t.on}
            size="xs"
            value={event}
            onChange={(chosen) => setEvent(chosen.currentTarget.value as Event)}
            data={EVENTS.map((value) => ({ value, label: t.event[value] }))}
          />
        </div>
        <div className={classes.row}>
          {number(t.threshold, threshold, setThreshold, t.usual)}
          {number(t.window, window, setWindow, t.usual)}
          {number(t.coolDown, coolDown, setCoolDown)}
        </div>
        <div className={classes.row}>
          <TextInput
            label={t.groups}
            placeholder={t.everywhere}
            size="xs"
            value={groups}
            onChange={(typed) => setGroups(typed.currentTarget.value)}
          />
          <TextInput
            label={t.scenes}
            placeholder={t.everywhere}
            size="xs"
            value={scenes}
            onChange={(typed) => setScenes(typed.currentTarget.value)}
          />
        </div>
        {channels.length > 0 && (
          <Checkbox.Group label={t.channels} size="xs" value={[...told]} onChange={setTold}>
            <div className={classes.row}>
              {channels.map(({ id, name: channel }) => (
                <Checkbox key={id} value={id} label={channel} />
              ))}
            </div>
          </Checkbox.Group>
        )}
        <Switch
          size="sm"
          label={t.recovery}
          checked={recovery}
          onChange={(to) => setRecovery(to.currentTarget.checked)}
        />
        <Switch size="sm" label={t.enabled} checked={enabled} onChange={(to) => setEnabled(to.currentTarget.checked)} />
      </div>
    </ConfirmDialog>
  );
}
