import { Autocomplete, Checkbox, TextInput } from "@mantine/core";
import type { Faults } from "@/api/faults";
import { useLanguage, useMessages } from "@/i18n/language";
import { DAYS, type Hours } from "./form";
import { messages } from "./messages";
import classes from "./redrive-dialog.module.css";

const MONDAY = Date.UTC(2024, 0, 1);
const DAY_MS = 86_400_000;
const MOST_ZONES = 12;

/** Between which hours, and on which days. */
export function HoursFields({
  hours,
  onChange,
  faults,
}: {
  hours: Hours;
  onChange: (hours: Hours) => void;
  faults: Faults;
}) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const named = new Intl.DateTimeFormat(spoken === "zh" ? "zh-CN" : "en-GB", { weekday: "short", timeZone: "UTC" });
  return (
    <>
      <div className={classes.row}>
        {(["start", "end"] as const).map((name) => (
          <TextInput
            key={name}
            size="xs"
            type="time"
            label={name === "start" ? t.from : t.until}
            value={hours[name]}
            error={faults.at(`window.${name}`)}
            onChange={(event) => onChange({ ...hours, [name]: event.currentTarget.value })}
          />
        ))}
        <Autocomplete
          size="xs"
          label={t.zone}
          data={Intl.supportedValuesOf("timeZone")}
          limit={MOST_ZONES}
          value={hours.timezone}
          error={faults.at("window.timezone")}
          onChange={(timezone) => onChange({ ...hours, timezone })}
        />
      </div>
      <Checkbox.Group
        size="xs"
        label={t.days}
        description={t.daysHint}
        value={[...hours.days]}
        onChange={(chosen) => onChange({ ...hours, days: DAYS.filter((day) => chosen.includes(day)) })}
      >
        <div className={classes.days}>
          {DAYS.map((day, index) => (
            <Checkbox key={day} value={day} label={named.format(MONDAY + index * DAY_MS)} />
          ))}
        </div>
      </Checkbox.Group>
    </>
  );
}
