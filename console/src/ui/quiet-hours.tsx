import { ActionIcon, Autocomplete, Button, Menu, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import type { Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { DurationInput } from "./duration-input";
import { messages } from "./messages";
import classes from "./quiet-hours.module.css";

type QuietHours = Schema<"QuietWindow">;

const CHOICES = {
  nights: { start: "0 22 * * *", duration_seconds: 28_800 },
  weekends: { start: "0 0 * * SAT", duration_seconds: 172_800 },
  own: { start: "", duration_seconds: 3600 },
} as const;

/** Times in which nothing is done. */
export function QuietHoursList({
  value,
  refused,
  onChange,
}: {
  value: readonly QuietHours[];
  /** What the server refuses, by place: `quiet_hours[0].start`. */
  refused: Readonly<Record<string, string>>;
  onChange: (value: QuietHours[]) => void;
}) {
  const t = useMessages(messages);
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const set = (index: number, changes: Partial<QuietHours>) =>
    onChange(value.map((one, at) => (at === index ? { ...one, ...changes } : one)));
  return (
    <div className={classes.list}>
      {value.map((hours, index) => {
        const wrong = (name: keyof QuietHours) => refused[`quiet_hours[${index}].${name}`];
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: they have no identity, and keep their places
          <div key={index} className={classes.hours}>
            <TextInput
              label={t.quietStart}
              placeholder="0 22 * * *"
              size="xs"
              value={hours.start}
              error={wrong("start")}
              onChange={(event) => set(index, { start: event.currentTarget.value })}
            />
            <DurationInput
              label={t.quietLength}
              value={hours.duration_seconds}
              error={wrong("duration_seconds")}
              onChange={(seconds) => set(index, { duration_seconds: seconds ?? 0 })}
            />
            <Autocomplete
              label={t.quietZone}
              size="xs"
              limit={8}
              data={["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")]}
              value={hours.timezone}
              error={wrong("timezone")}
              onChange={(timezone) => set(index, { timezone })}
            />
            <TextInput
              label={t.quietReason}
              size="xs"
              value={hours.reason}
              error={wrong("reason")}
              onChange={(event) => set(index, { reason: event.currentTarget.value })}
            />
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={t.removeQuiet}
              title={t.removeQuiet}
              onClick={() => onChange(value.filter((_, at) => at !== index))}
            >
              <IconTrash size={15} />
            </ActionIcon>
          </div>
        );
      })}
      <Menu position="bottom-start">
        <Menu.Target>
          <Button size="compact-xs" leftSection={<IconPlus size={12} />}>
            {t.addQuiet}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {(Object.keys(CHOICES) as (keyof typeof CHOICES)[]).map((choice) => (
            <Menu.Item
              key={choice}
              onClick={() => onChange([...value, { ...CHOICES[choice], timezone: here, reason: "" }])}
            >
              {t.quietChoice[choice]}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
    </div>
  );
}
