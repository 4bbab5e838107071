import { NumberInput } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./figure.module.css";

/** A number that may be cleared on the way to another one. What is wrong with it, the server says. */
export function Figure({
  label,
  name,
  unit,
  unitWidth = 48,
  value,
  onChange,
  whole,
  percent,
  placeholder,
  error,
}: {
  label: ReactNode;
  /** What it is called where the label is more than its name. */
  name?: string;
  /** Stands behind the number. */
  unit?: ReactNode;
  /** How wide what stands there may be, in pixels. */
  unitWidth?: number;
  value: number | null;
  onChange: (value: number | null) => void;
  whole?: boolean;
  /** It is shown as a percentage and kept as a share of 1. */
  percent?: boolean;
  placeholder?: string;
  error?: string;
}) {
  const factor = percent ? 100 : 1;
  return (
    <NumberInput
      label={label}
      aria-label={name}
      size="xs"
      hideControls
      allowNegative={false}
      allowDecimal={!whole}
      placeholder={placeholder}
      error={error}
      value={value === null ? "" : Number((value * factor).toFixed(6))}
      onChange={(next) => onChange(next === "" ? null : Number(next) / factor)}
      rightSection={<span className={classes.unit}>{percent ? "%" : unit}</span>}
      rightSectionWidth={unitWidth}
      rightSectionPointerEvents="none"
    />
  );
}
