import { NativeSelect, TextInput } from "@mantine/core";
import type { Schema } from "@/api/client";
import type { Faults } from "@/api/faults";
import { useMessages } from "@/i18n/language";
import { HeaderList } from "@/ui/header-list";
import { Inside } from "@/ui/option";
import { messages } from "./messages";
import { firstTarget, KINDS, type TypedTarget } from "./target";
import classes from "./target-fields.module.css";

const METHODS = ["POST", "PUT", "PATCH", "DELETE", "GET"];

export interface TargetChoiceProps {
  label: string;
  /** What no choice means. */
  asItIs: string;
  /** What is chosen; null when it stays as it is. */
  target: TypedTarget | null;
  /** Where attempts go now: what a choice of the same kind begins with. */
  known?: Schema<"TaskSummary">["target"];
  onChange: (target: TypedTarget | null) => void;
}

/** Whether attempts go elsewhere, and to which kind of target. */
export function TargetChoice({ label, asItIs, target, known, onChange }: TargetChoiceProps) {
  const t = useMessages(messages);
  return (
    <NativeSelect
      label={label}
      size="xs"
      value={target?.kind ?? ""}
      onChange={(event) => onChange(firstTarget(event.currentTarget.value, known))}
      data={[{ value: "", label: asItIs }, ...KINDS.map((value) => ({ value, label: t.targets[value] }))]}
    />
  );
}

/** What a target says beyond its kind. */
export function TargetFields({
  target,
  onChange,
  faults,
}: {
  target: TypedTarget;
  onChange: (target: TypedTarget) => void;
  faults: Faults;
}) {
  const t = useMessages(messages);
  const rest = faults.rest("target", ["task_queue", "url", "method"]);
  if (target.kind === "node" && !rest) return null;
  return (
    <Inside error={rest}>
      {target.kind === "worker" && (
        <TextInput
          label={t.taskQueue}
          size="xs"
          value={target.task_queue}
          error={faults.at("target.task_queue")}
          onChange={(event) => onChange({ ...target, task_queue: event.currentTarget.value })}
        />
      )}
      {target.kind === "webhook" && (
        <>
          <div className={classes.webhook}>
            <NativeSelect
              label={t.method}
              size="xs"
              value={target.method}
              data={METHODS}
              error={faults.at("target.method")}
              onChange={(event) => onChange({ ...target, method: event.currentTarget.value })}
            />
            <TextInput
              label={t.url}
              size="xs"
              value={target.url}
              error={faults.at("target.url")}
              onChange={(event) => onChange({ ...target, url: event.currentTarget.value })}
            />
          </div>
          <HeaderList value={target.headers} onChange={(headers) => onChange({ ...target, headers })} />
        </>
      )}
    </Inside>
  );
}
