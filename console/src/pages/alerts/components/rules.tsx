import { Button, Menu, Switch } from "@mantine/core";
import { IconBan, IconBell, IconBellOff, IconCheck, IconPlus } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { $api, api, type Schema } from "@/api/client";
import { useLive } from "@/api/events";
import { useLanguage, useMessages } from "@/i18n/language";
import { formatMoment } from "@/i18n/time";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { sayDone, sayProblem } from "@/ui/say";
import { Empty, Result } from "@/ui/states";
import { Badge } from "@/ui/status-badge";
import { useNow } from "@/ui/time";
import { messages } from "../messages";
import { place } from "../place";
import classes from "./alerts.module.css";
import { RuleDialog } from "./rule-dialog";
import type { Rule } from "./rule-form";
import { useSentences } from "./sentence";

const MUTES = Object.keys(messages.en.muteFor) as (keyof typeof messages.en.muteFor)[];
const MOST_SHOWN = 3;

/** What is worth telling. */
export function Rules() {
  const t = useMessages(messages);
  const { condition } = useSentences();
  const rules = $api.useQuery("get", "/v1/alerts/rules", {}, { refetchInterval: 10_000 });
  const channels = $api.useQuery("get", "/v1/alerts/channels");
  useLive(["alerts"], () => void rules.refetch());
  const [edited, setEdited] = useState<Rule | "new" | null>(null);
  const [removed, setRemoved] = useState<Rule | null>(null);
  const named = (id: string) => channels.data?.items.find((channel) => channel.id === id)?.name ?? "…";

  async function change(act: () => Promise<unknown>) {
    try {
      await act();
      await rules.refetch();
    } catch (error) {
      sayProblem(error);
    }
  }
  const mute = ({ id }: Rule, hours: number | null) => {
    const until = hours === null ? null : new Date(Date.now() + hours * 3_600_000).toISOString();
    const params = { path: { rule_id: id } };
    return change(() => api.POST("/v1/alerts/rules/{rule_id}/mute", { params, body: { until } }));
  };
  const turn = ({ id }: Rule, enabled: boolean) => {
    const params = { path: { rule_id: id } };
    const body = { enabled } as Schema<"AlertRuleChange">;
    return change(() => api.PATCH("/v1/alerts/rules/{rule_id}", { params, body }));
  };
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
              head={[t.name, t.channels, t.status, t.enabled, ""]}
              rows={items.map((rule) => ({
                key: rule.id,
                cells: [
                  <div key="rule">
                    <Link to="/alerts" search={{ tab: "events", rule: rule.id }}>
                      {rule.name}
                    </Link>
                    <div className={classes.quiet}>
                      {condition({
                        ...rule,
                        threshold: rule.threshold_in_force,
                        window: rule.window_in_force_seconds,
                        quiet: rule.quiet_hours.length > 0,
                      })}
                    </div>
                  </div>,
                  rule.channels.map(named).join(", ") || <span className={classes.quiet}>{t.historyOnly}</span>,
                  <State key="state" of={rule} />,
                  <Switch
                    key="on"
                    size="xs"
                    aria-label={`${t.enabled}: ${rule.name}`}
                    checked={rule.enabled}
                    onChange={(event) => void turn(rule, event.currentTarget.checked)}
                  />,
                  <div key="buttons" className={classes.buttons}>
                    {isMuted(rule, Date.now()) ? (
                      <Button size="compact-xs" onClick={() => void mute(rule, null)}>
                        {t.unmute}
                      </Button>
                    ) : (
                      <Menu position="bottom-end">
                        <Menu.Target>
                          <Button size="compact-xs">{t.mute}</Button>
                        </Menu.Target>
                        <Menu.Dropdown>
                          {MUTES.map((hours) => (
                            <Menu.Item key={hours} onClick={() => void mute(rule, Number(hours))}>
                              {t.muteFor[hours]}
                            </Menu.Item>
                          ))}
                        </Menu.Dropdown>
                      </Menu>
                    )}
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
      {edited && channels.data && (
        <RuleDialog
          rule={edited === "new" ? null : edited}
          channels={channels.data.items}
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

function isMuted({ muted_until }: Rule, now: number): boolean {
  return muted_until !== null && Date.parse(muted_until) > now;
}

/** Whether a rule fires, and where. */
function State({ of: rule }: { of: Rule }) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const now = useNow(60);
  const firing = rule.enabled && rule.state === "firing";
  const [tone, icon, word] = !rule.enabled
    ? (["quiet", IconBan, t.off] as const)
    : isMuted(rule, now)
      ? (["quiet", IconBellOff, t.mutedUntil(formatMoment(new Date(rule.muted_until ?? 0), now, spoken))] as const)
      : firing
        ? (["bad", IconBell, t.state.firing] as const)
        : (["good", IconCheck, t.state.ok] as const);
  const places = firing ? rule.firing.map(place).filter(Boolean) : [];
  return (
    <div>
      <Badge tone={tone} icon={icon}>
        {word}
      </Badge>
      {places.length > 0 && (
        <div className={classes.quiet}>
          {places.slice(0, MOST_SHOWN).join(", ")} {places.length > MOST_SHOWN && t.others(places.length - MOST_SHOWN)}
        </div>
      )}
    </div>
  );
}
