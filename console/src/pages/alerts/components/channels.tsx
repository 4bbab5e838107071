import { Button, Switch } from "@mantine/core";
import { IconCheck, IconPlus, IconSend, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { $api, api, type Schema } from "@/api/client";
import { Problem } from "@/api/problem";
import { useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { sayDone, sayProblem } from "@/ui/say";
import { Empty, Result } from "@/ui/states";
import { messages } from "../messages";
import classes from "./alerts.module.css";
import { ChannelDialog } from "./channel-dialog";
import { type Channel, destination } from "./channel-fields";

/** By which ways people are told. */
export function Channels() {
  const t = useMessages(messages);
  const channels = $api.useQuery("get", "/v1/alerts/channels");
  const rules = $api.useQuery("get", "/v1/alerts/rules");
  const [edited, setEdited] = useState<Channel | "new" | null>(null);
  const [removed, setRemoved] = useState<Channel | null>(null);
  const usedBy = ({ id }: Channel) => (rules.data?.items ?? []).filter((rule) => rule.channels.includes(id));

  async function turn(channel: Channel, enabled: boolean) {
    try {
      const params = { path: { channel_id: channel.id } };
      await api.PATCH("/v1/alerts/channels/{channel_id}", {
        params,
        body: { enabled } as Schema<"AlertChannelChange">,
      });
      await channels.refetch();
    } catch (error) {
      sayProblem(error);
    }
  }
  const add = (
    <Button leftSection={<IconPlus size={14} />} onClick={() => setEdited("new")}>
      {t.newChannel}
    </Button>
  );
  return (
    <Panel flush title={t.tabs.channels} aside={add}>
      <Result query={channels} rows={4}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon={IconSend} title={t.noChannels} hint={t.noChannelsHint} />
          ) : (
            <Rows
              label={t.tabs.channels}
              head={[t.name, t.leadsTo, t.usedBy, t.enabled, ""]}
              rows={items.map((channel) => ({
                key: channel.id,
                cells: [
                  channel.name,
                  <div key="to">
                    {t.kinds[channel.kind]}
                    <div className={classes.quiet}>{destination(channel)}</div>
                  </div>,
                  usedBy(channel)
                    .map((rule) => rule.name)
                    .join(", ") || <span className={classes.quiet}>{t.noRule}</span>,
                  <Switch
                    key="on"
                    size="xs"
                    aria-label={`${t.enabled}: ${channel.name}`}
                    checked={channel.enabled}
                    onChange={(event) => void turn(channel, event.currentTarget.checked)}
                  />,
                  <Actions
                    key="actions"
                    of={channel}
                    onEdit={() => setEdited(channel)}
                    onRemove={() => setRemoved(channel)}
                  />,
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
          {t.removeChannelText(usedBy(removed).length)}
        </ConfirmDialog>
      )}
    </Panel>
  );
}

/** What can be done with a channel, and what came of the last test. */
function Actions({ of: channel, onEdit, onRemove }: { of: Channel; onEdit: () => void; onRemove: () => void }) {
  const t = useMessages(messages);
  const [testing, setTesting] = useState(false);
  const [result, setResult] = useState<Schema<"AlertTest"> | null>(null);

  async function test() {
    setTesting(true);
    setResult(null);
    try {
      const { data } = await api.POST("/v1/alerts/channels/{channel_id}/test", {
        params: { path: { channel_id: channel.id } },
      });
      setResult(data ?? null);
    } catch (error) {
      setResult({ delivered: false, http_status: null, error: Problem.of(error).message, seconds: 0 });
    } finally {
      setTesting(false);
    }
  }
  return (
    <div className={classes.actions}>
      <div className={classes.buttons}>
        <Button size="compact-xs" loading={testing} leftSection={<IconSend size={12} />} onClick={() => void test()}>
          {t.test}
        </Button>
        <Button size="compact-xs" onClick={onEdit}>
          {t.edit}
        </Button>
        <Button size="compact-xs" onClick={onRemove}>
          {t.remove}
        </Button>
      </div>
      {result && (
        <div className={classes.result} role="status" data-bad={!result.delivered || undefined}>
          {result.delivered ? <IconCheck size={14} aria-hidden /> : <IconX size={14} aria-hidden />}
          <span>
            {result.delivered ? t.delivered(formatDuration(result.seconds)) : `${t.notDelivered}: ${result.error}`}
          </span>
        </div>
      )}
    </div>
  );
}
