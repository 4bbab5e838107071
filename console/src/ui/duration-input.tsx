import { NativeSelect, NumberInput } from "@mantine/core";
import { useState } from "react";
import { useMessages } from "@/i18n/language";
import classes from "./duration-input.module.css";
import { messages } from "./messages";

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;
type Unit = keyof typeof SECONDS;
const UNITS = Object.keys(SECONDS) as Unit[];

/** The largest unit in which a duration is a whole number. */
function unitOf(seconds: number): Unit {
  return UNITS.findLast((unit) => seconds >= SECONDS[unit] && seconds % SECONDS[unit] === 0) ?? "s";
}

/** A duration in a unit that a person chooses; the value is in seconds, and null when the field is empty. */
export function DurationInput({
  label,
  description,
  value,
  usual,
  placeholder,
  error,
  onChange,
}: {
  label: string;
  description?: string;
  value: number | null;
  /** What holds while it is empty, in seconds. */
  usual?: number;
  /** Stands in the empty field, where no duration does. */
  placeholder?: string;
  error?: string;
  onChange: (seconds: number | null) => void;
}) {
  const t = useMessages(messages);
  const [chosen, setChosen] = useState<Unit | null>(null);
  const shown = value ?? usual;
  const unit = chosen ?? (shown === undefined ? "m" : unitOf(shown));
  const inUnit = (seconds: number) => Number((seconds / SECONDS[unit]).toFixed(4));
  return (
    <NumberInput
      label={label}
      description={description}
      size="xs"
      error={error}
      min={0}
      hideControls
      allowNegative={false}
      placeholder={usual === undefined ? placeholder : String(inUnit(usual))}
      value={value === null ? "" : inUnit(value)}
      onChange={(next) => {
        // The unit stays while a number is typed: 60 minutes do not become 1 hour under one's fingers.
        setChosen(unit);
        onChange(next === "" ? null : Number(next) * SECONDS[unit]);
      }}
      rightSectionWidth={104}
      rightSection={
        <NativeSelect
          aria-label={t.unitOf(label)}
          size="xs"
          variant="unstyled"
          rightSectionWidth={24}
          className={classes.unit}
          value={unit}
          data={UNITS.map((one) => ({ value: one, label: t.unit[one] }))}
          onChange={(event) => {
            const to = event.currentTarget.value as Unit;
            setChosen(to);
            if (value !== null) onChange(inUnit(value) * SECONDS[to]);
          }}
        />
      }
    />
  );
}
