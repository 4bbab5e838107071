import { Button, Modal, NativeSelect, TextInput } from "@mantine/core";
import { IconBan, IconCheck, IconClockX, IconKey, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { $api, api, type Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { CopyButton } from "@/ui/copy";
import { messages as uiMessages } from "@/ui/messages";
import { Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { sayDone } from "@/ui/say";
import { Empty, Result } from "@/ui/states";
import { Badge } from "@/ui/status-badge";
import { Time, useNow } from "@/ui/time";
import { messages } from "../messages";
import classes from "./settings.module.css";

type Key = Schema<"KeyResource">;

/** The keys to the API: what each opens, when it was used, and its end. */
export function Keys() {
  const t = useMessages(messages);
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<string | null>(null);
  const [revoking, setRevoking] = useState<Key | null>(null);
  const keys = $api.useQuery("get", "/v1/keys");
  const refetch = () => void keys.refetch();
  return (
    <Panel
      flush
      title={t.tabs.keys}
      aside={
        <Button leftSection={<IconPlus size={14} />} onClick={() => setAdding(true)}>
          {t.addKey}
        </Button>
      }
    >
      <Result query={keys} rows={4}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon={IconKey} title={t.noKeys} hint={t.noKeysHint} />
          ) : (
            <Rows
              label={t.tabs.keys}
              head={[t.name, t.key, t.scope, t.state, t.lastUsed, t.created, t.keyExpires, ""]}
              rows={items.map((key) => ({
                key: key.id,
                cells: [
                  key.name,
                  <code key="prefix">{key.prefix}…</code>,
                  [key.namespace ?? t.everyNamespace, key.group ?? t.everyGroup].join(" / "),
                  <KeyState key="state" of={key} />,
                  <Time key="used" at={key.last_used_at} />,
                  <Time key="created" at={key.created_at} />,
                  key.expires_at ? <Time key="expires" at={key.expires_at} /> : t.never,
                  key.revoked_at === null && (
                    <Button key="revoke" size="compact-xs" onClick={() => setRevoking(key)}>
                      {t.revoke}
                    </Button>
                  ),
                ],
              }))}
            />
          )
        }
      </Result>
      {adding && (
        <NewKey
          onMade={(key) => {
            setMade(key);
            refetch();
          }}
          onClose={() => setAdding(false)}
        />
      )}
      {made && <MadeKey value={made} onClose={() => setMade(null)} />}
      {revoking && (
        <ConfirmDialog
          title={t.revokeTitle(revoking.name)}
          action={t.revoke}
          danger
          onClose={() => setRevoking(null)}
          onConfirm={async () => {
            await api.DELETE("/v1/keys/{key_id}", { params: { path: { key_id: revoking.id } } });
            refetch();
            sayDone(t.revokedDone(revoking.name));
          }}
        >
          {t.revokeText}
        </ConfirmDialog>
      )}
    </Panel>
  );
}

function KeyState({ of }: { of: Key }) {
  const t = useMessages(messages);
  const now = useNow(60);
  if (of.revoked_at !== null)
    return (
      <Badge tone="quiet" icon={IconBan}>
        {t.revoked}
      </Badge>
    );
  if (of.expires_at !== null && Date.parse(of.expires_at) < now)
    return (
      <Badge tone="quiet" icon={IconClockX}>
        {t.expired}
      </Badge>
    );
  return (
    <Badge tone="good" icon={IconCheck}>
      {t.active}
    </Badge>
  );
}

function NewKey({ onMade, onClose }: { onMade: (key: string) => void; onClose: () => void }) {
  const t = useMessages(messages);
  const [name, setName] = useState("");
  const [namespace, setNamespace] = useState("");
  const [group, setGroup] = useState("");
  const [days, setDays] = useState("");
  const namespaces = $api.useQuery("get", "/v1/namespaces");
  return (
    <ConfirmDialog
      title={t.addKey}
      action={t.create}
      disabled={!name.trim()}
      onClose={onClose}
      onConfirm={async () => {
        const expires_at = days ? new Date(Date.now() + Number(days) * 86_400_000).toISOString() : null;
        const { data } = await api.POST("/v1/keys", {
          body: { name: name.trim(), namespace: namespace || null, group: group.trim() || null, expires_at },
        });
        if (data) onMade(data.key);
      }}
    >
      <TextInput
        label={t.keyName}
        size="xs"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        data-autofocus
        required
      />
      <NativeSelect
        label={t.keyNamespace}
        size="xs"
        mt="sm"
        value={namespace}
        onChange={(event) => setNamespace(event.currentTarget.value)}
        data={[
          { value: "", label: t.everyNamespace },
          ...(namespaces.data?.items ?? []).map((found) => ({ value: found.name, label: found.name })),
        ]}
      />
      <TextInput
        label={t.keyGroup}
        placeholder={t.everyGroup}
        size="xs"
        mt="sm"
        disabled={!namespace}
        value={namespace ? group : ""}
        onChange={(event) => setGroup(event.currentTarget.value)}
      />
      <NativeSelect
        label={t.keyExpires}
        size="xs"
        mt="sm"
        value={days}
        onChange={(event) => setDays(event.currentTarget.value)}
        data={[
          { value: "", label: t.never },
          ...[30, 90, 365].map((count) => ({ value: String(count), label: t.days(count) })),
        ]}
      />
    </ConfirmDialog>
  );
}

function MadeKey({ value, onClose }: { value: string; onClose: () => void }) {
  const t = useMessages(messages);
  const ui = useMessages(uiMessages);
  return (
    <Modal
      opened
      onClose={onClose}
      title={t.newKeyTitle}
      size={520}
      closeOnClickOutside={false}
      closeButtonProps={{ "aria-label": ui.close }}
    >
      <p>{t.newKeyText}</p>
      <div className={classes.key}>
        {value}
        <CopyButton text={value} />
      </div>
      <Button mt="md" variant="filled" onClick={onClose}>
        {t.done}
      </Button>
    </Modal>
  );
}
