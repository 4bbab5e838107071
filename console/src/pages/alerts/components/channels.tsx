import { Button, NativeSelect, Switch, TextInput } from "@mantine/core";
import { IconBan, IconCheck, IconPlus, IconSend } from "@tabler/icons-react";
import { useState } from "react";
import { $api, api, type Schema } from "@/api/client";
import { Problem } from "@/api/problem";
import { useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { JsonEditor, parseJson } from "@/ui/json";
import { Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { sayDone, sayProblem } from "@/ui/say";
import { Empty, Result } from "@/ui/states";
import { Badge } from "@/ui/status-badge";
import { messages } from "../messages";
import classes from "./alerts.module.css";

type Channel = Schema<"AlertChannelResource">;
type Kind = Channel["kind"];

const URL_OF = "https://";
/** What a new channel of each kind must be given. */
const NEEDED: Record<Kind, object> = {
  webhook: { url: URL_OF },
  slack: { url: URL_OF },
  teams: { url: URL_OF },
  dingtalk: { url: URL_OF, secret: "" },
  wecom: { url: URL_OF },
  feishu: { url: URL_OF, secret: "" },
  lark: { url: URL_OF, secret: "" },
  pagerduty: { routing_key: "" },
  email: { host: "", sender: "", to: [""], username: "", password: "" },
};
const KINDS = Object.keys(NEEDED) as Kind[];

/** How alerts reach people. */
export function Channels() {
  const t = useMessages(messages);
  const channels = $api.useQuery("get", "/v1/alerts/channels");
  const rules = $api.useQuery("get", "/v1/alerts/rules");
  const [edited, setEdited] = useState<Channel | "new" | null>(null);
  const [removed, setRemoved] = useState<Channel | null>(null);
  const [testing, setTesting] = useState<string | null>(null);
  const usedBy = ({ id }: Channel) => (rules.data?.items ?? []).filter((rule) => rule.channels.includes(id)).length;

  async function test(channel: Channel) {
    setTesting(channel.id);
    try {
      const { data } = await api.POST("/v1/alerts/channels/{channel_id}/test", {
        params: { path: { channel_id: channel.id } },
      });
      if (data?.delivered) sayDone(t.delivered(formatDuration(data.seconds)));
      else sayProblem(new Problem(data?.http_status ?? 0, t.notDelivered, data?.error ?? ""));
    } catch (error) {
      sayProblem(error);
    } finally {
      setTesting(null);
    }
  }
  return (
    <Panel
      flush
      title={t.tabs.channels}
      aside={
        <Button leftSection={<IconPlus size={14} />} onClick={() => setEdited("new")}>
          {t.newChannel}
        </Button>
      }
    >
      <Result query={channels} rows={4}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon={IconSend} title={t.noChannels} hint={t.noChannelsHint} />
          ) : (
            <Rows
              label={t.tabs.channels}
              head={[t.name, t.kind, t.status, ""]}
              rows={items.map((channel) => ({
                key: channel.id,
                cells: [
                  channel.name,
                  channel.kind,
                  <Badge
                    key="state"
                    tone={channel.enabled ? "good" : "quiet"}
                    icon={channel.enabled ? IconCheck : IconBan}
                  >
                    {channel.enabled ? t.inForce : t.off}
                  </Badge>,
                  <div key="buttons" className={classes.buttons}>
                    <Button
                      size="compact-xs"
                      loading={testing === channel.id}
                      leftSection={<IconSend size={12} />}
                      onClick={() => void test(channel)}
                    >
                      {t.test}
                    </Button>
                    <Button size="compact-xs" onClick={() => setEdited(channel)}>
                      {t.edit}
                    </Button>
                    <Button size="compact-xs" onClick={() => setRemoved(channel)}>
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
        <ChannelDialog
          channel={edited === "new" ? null : edited}
          onDone={() => channels.refetch()}
          onClose={() => setEdited(null)}
        />
      )}
      {removed && (
        <ConfirmDialog
          title={t.removeChannel(removed.name)}
          action={t.remove}
          danger
          onClose={() => setRemoved(null)}
          onConfirm={async () => {
            await api.DELETE("/v1/alerts/channels/{channel_id}", { params: { path: { channel_id: removed.id } } });
            await channels.refetch();
            sayDone(t.removed);
          }}
        >
          {t.removeChannelText(usedBy(removed))}
        </ConfirmDialog>
      )}
    </Panel>
  );
}

function ChannelDialog({
  channel,
  onDone,
  onClose,
}: {
  channel: Channel | null;
  onDone: () => Promise<unknown>;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const [name, setName] = useState(channel?.name ?? "");
  const [kind, setKind] = useState<Kind>(channel?.kind ?? "webhook");
  const [enabled, setEnabled] = useState(channel?.enabled ?? true);
  const [text, setText] = useState(JSON.stringify(channel?.settings ?? NEEDED.webhook, null, 2));
  const parsed = parseJson(text);
  return (
    <ConfirmDialog
      title={channel ? t.editChannel : t.newChannel}
      action={t.save}
      size={560}
      disabled={!name.trim() || "why" in parsed}
      onClose={onClose}
      onConfirm={async () => {
        if ("why" in parsed) return;
        const body = { name: name.trim(), enabled, settings: parsed.value as Record<string, unknown> };
        if (channel) {
          const params = { path: { channel_id: channel.id } };
          await api.PATCH("/v1/alerts/channels/{channel_id}", { params, body });
        } else await api.POST("/v1/alerts/channels", { body: { ...body, kind } });
        await onDone();
        sayDone(t.saved);
      }}
    >
      <div className={classes.fields}>
        <div className={classes.row}>
          <TextInput label={t.name} size="xs" value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <NativeSelect
            label={t.kind}
            size="xs"
            disabled={channel !== null}
            value={kind}
            data={KINDS}
            onChange={(event) => {
              const chosen = event.currentTarget.value as Kind;
              setKind(chosen);
              setText(JSON.stringify(NEEDED[chosen], null, 2));
            }}
          />
        </div>
        <JsonEditor label={t.settings} description={t.settingsHint} text={text} onChange={setText} rows={12} />
        <Switch
          size="sm"
          label={t.enabled}
          checked={enabled}
          onChange={(event) => setEnabled(event.currentTarget.checked)}
        />
      </div>
    </ConfirmDialog>
  );
}
