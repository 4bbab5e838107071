import { Switch } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./option.module.css";

/** Something that is on or off, and its fields while it is on. */
export function Option({
  label,
  hint,
  on,
  onSwitch,
  error,
  children,
}: {
  label: string;
  hint?: string;
  on: boolean;
  onSwitch: (on: boolean) => void;
  /** What is wrong with it and belongs to none of its fields. */
  error?: string;
  children: ReactNode;
}) {
  return (
    <div className={classes.option}>
      <Switch
        size="sm"
        label={label}
        description={hint}
        checked={on}
        onChange={(event) => onSwitch(event.currentTarget.checked)}
      />
      {on && <Inside error={error}>{children}</Inside>}
    </div>
  );
}

/** Fields that belong to what stands above them. */
export function Inside({ error, children }: { error?: string; children: ReactNode }) {
  return (
    <>
      <div className={classes.inside}>{children}</div>
      {error && (
        <p className={classes.fault} role="alert">
          {error}
        </p>
      )}
    </>
  );
}
