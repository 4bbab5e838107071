import { Button, NativeSelect, NumberInput, Switch, TagsInput, Textarea, TextInput } from "@mantine/core";
import { useState } from "react";
import { api } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { sayDone } from "@/ui/say";
import { SecretInput } from "@/ui/secret-input";
import { messages } from "../messages";
import classes from "./alerts.module.css";
import {
  type Channel,
  type ChannelField,
  FIELDS,
  isShown,
  KINDS,
  type Kind,
  settingsOf,
  typedOf,
} from "./channel-fields";

/** Asks for what a kind of channel needs, and makes or changes the channel. */
export function ChannelDialog({
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
  const [kind, setKind] = useState<Kind>(channel?.kind ?? "email");
  const [typed, setTyped] = useState(typedOf(kind, channel?.settings));
  const [enabled, setEnabled] = useState(channel?.enabled ?? true);
  const shown = FIELDS[kind].filter((field) => isShown(field, typed));
  return (
    <ConfirmDialog
      title={channel ? t.editChannel : t.newChannel}
      action={t.save}
      size={580}
      disabled={!name.trim()}
      placed={(field) =>
        field === "name" || shown.some((one) => field.replace(/\[\d+\]$/, "") === `settings.${one.name}`)
      }
      onClose={onClose}
      onConfirm={async () => {
        const body = { name: name.trim(), enabled, settings: settingsOf(kind, typed) };
        if (channel) {
          const params = { path: { channel_id: channel.id } };
          await api.PATCH("/v1/alerts/channels/{channel_id}", { params, body });
        } else await api.POST("/v1/alerts/channels", { body: { ...body, kind } });
        await onDone();
        sayDone(t.saved);
      }}
    >
      {(refused) => (
        <div className={classes.fields}>
          <div className={classes.row}>
            <NativeSelect
              label={t.kind}
              size="xs"
              disabled={channel !== null}
              value={kind}
              data={KINDS.map((value) => ({ value, label: t.kinds[value] }))}
              onChange={(event) => {
                const chosen = event.currentTarget.value as Kind;
                setKind(chosen);
                setTyped(typedOf(chosen, undefined));
              }}
            />
            <TextInput
              label={t.name}
              placeholder={t.channelName}
              size="xs"
              value={name}
              error={refused.name}
              onChange={(event) => setName(event.currentTarget.value)}
              data-autofocus
            />
          </div>
          <p className={classes.hint}>{t.about[kind]}</p>
          <div className={classes.row}>
            {shown.map((field) => (
              <Field
                key={`${kind} ${field.name}`}
                field={field}
                label={field.name === "url" && field.type === "text" ? t.address : t.field[field.name]}
                value={typed[field.name] ?? null}
                stored={field.type === "secret" ? ((channel?.settings[field.name] as string | null) ?? null) : null}
                error={refused[`settings.${field.name}`]}
                onChange={(value) => setTyped({ ...typed, [field.name]: value })}
              />
            ))}
          </div>
          <Switch
            size="sm"
            label={t.enabled}
            checked={enabled}
            onChange={(event) => setEnabled(event.currentTarget.checked)}
          />
        </div>
      )}
    </ConfirmDialog>
  );
}

type Value = string | number | readonly string[] | null;

function Field({
  field,
  label: name,
  value,
  stored,
  error,
  onChange,
}: {
  field: ChannelField;
  label: string;
  value: Value;
  /** A secret as it is shown; null when none is stored. */
  stored: string | null;
  error?: string;
  onChange: (value: Value) => void;
}) {
  const t = useMessages(messages);
  const [made, setMade] = useState(false);
  const label = field.optional ? t.optional(name) : name;
  const common = { label, size: "xs", error, placeholder: field.placeholder } as const;
  const hint = field.hint && t.hint[field.hint];
  switch (field.type) {
    case "number":
      return (
        <NumberInput
          {...common}
          hideControls
          allowDecimal={false}
          allowNegative={false}
          value={typeof value === "number" ? value : ""}
          onChange={(next) => onChange(next === "" ? "" : Number(next))}
        />
      );
    case "choice":
      return (
        <NativeSelect
          label={label}
          description={hint}
          inputWrapperOrder={["label", "input", "description", "error"]}
          size="xs"
          error={error}
          value={String(value)}
          data={(field.choices ?? []).map((choice) => ({ value: choice, label: t.choice[choice] }))}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      );
    case "list":
      return (
        <TagsInput
          {...common}
          className={classes.wide}
          description={hint}
          placeholder={Array.isArray(value) && value.length > 0 ? undefined : field.placeholder}
          splitChars={[",", " ", ";"]}
          value={[...((value as readonly string[]) ?? [])]}
          onChange={onChange}
        />
      );
    case "headers":
      return (
        <Textarea
          {...common}
          className={classes.wide}
          description={hint}
          autosize
          minRows={2}
          value={String(value ?? "")}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      );
    case "secret":
      return (
        <div className={classes.wide}>
          <SecretInput
            {...common}
            description={hint}
            placeholder={value === null ? t.willBeRemoved : stored ? t.stored(stored) : field.placeholder}
            value={String(value ?? "")}
            autoComplete="new-password"
            {...(made ? { visible: true } : {})}
            onChange={(event) => {
              setMade(false);
              onChange(event.currentTarget.value);
            }}
          />
          <div className={classes.below}>
            {stored && <span>{value === null ? t.removedSecret : t.keptSecret}</span>}
            {stored && field.optional && (
              <Button size="compact-xs" variant="subtle" onClick={() => onChange(value === null ? "" : null)}>
                {value === null ? t.keepSecret : t.removeSecret}
              </Button>
            )}
            {made && <span>{t.copySecret}</span>}
            {field.make && !made && (
              <Button
                size="compact-xs"
                variant="subtle"
                onClick={() => {
                  setMade(true);
                  onChange(field.make?.() ?? "");
                }}
              >
                {t.makeSecret}
              </Button>
            )}
          </div>
        </div>
      );
    default:
      return (
        <TextInput
          {...common}
          className={field.name === "url" ? classes.wide : undefined}
          description={field.name === "url" ? hint : undefined}
          value={String(value ?? "")}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      );
  }
}
