import { useState } from "react";
import { $api, api, type Schema } from "@/api/client";
import type { Faults } from "@/api/faults";
import { useMessages } from "@/i18n/language";
import type { Parts } from "@/policy/parts";
import { PolicyForm } from "@/policy/policy-form";
import { asTarget, type TypedTarget, targetText } from "@/tasks/target";
import { TargetChoice, TargetFields } from "@/tasks/target-fields";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { JsonEditor, parseJson } from "@/ui/json";
import { Option } from "@/ui/option";
import { sayDone } from "@/ui/say";
import { Result } from "@/ui/states";
import type { Task } from "../hooks/use-task";
import { messages } from "../messages";
import classes from "./dialogs.module.css";

const PAYLOAD = ["args", "kwargs", "body"] as const;
type Part = (typeof PAYLOAD)[number];

/** What this dialog has fields for; other refusals are shown below them. */
const PLACED = /^(policy\.|target(\.|\[|$))/;

/**
 * Changes what the call is made with, where it goes and by which policy, and makes it again. The server refuses what the
 * scene's schema does not allow.
 */
export function EditDialog({
  task,
  onChanged,
  onClose,
}: {
  task: Task;
  onChanged: (task: Task) => void;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const before: Record<Part, unknown> = { args: task.args, kwargs: task.kwargs, body: task.body ?? null };
  const shown = PAYLOAD.filter(
    (part) =>
      part === "kwargs" ||
      (part === "args" && (task.args.length > 0 || task.executor !== null)) ||
      (part === "body" && before.body !== null),
  );
  const [texts, setTexts] = useState(() => Object.fromEntries(PAYLOAD.map((part) => [part, written(before[part])])));
  const [target, setTarget] = useState<TypedTarget | null>(null);
  const own = (task.policy_override ?? {}) as Parts;
  const [policy, setPolicy] = useState(own);
  const labels = { args: t.args, kwargs: t.kwargs, body: t.body };
  const values = shown.map((part) => [part, parseJson(texts[part] ?? "")] as const);
  const broken = values.some(([, parsed]) => "why" in parsed);
  const changes: Record<string, unknown> = {
    ...Object.fromEntries(
      values.flatMap(([part, parsed]) =>
        "value" in parsed && !same(parsed.value, before[part]) ? [[part, parsed.value]] : [],
      ),
    ),
    ...(target && !same(asTarget(target), task.target) ? { target: asTarget(target) } : {}),
    ...(same(policy, own) ? {} : { policy }),
  };

  async function confirm(reason: string | null) {
    const { data } = await api.POST("/v1/tasks/{task_id}/edit-and-retry", {
      params: { path: { task_id: task.id } },
      body: { ...(changes as Schema<"EditAndRetry">), reason },
    });
    if (data) onChanged(data);
    sayDone(t.done.edit);
  }
  return (
    <ConfirmDialog
      title={t.edit.title}
      action={t.edit.submit}
      askReason
      size={720}
      disabled={broken}
      placed={(field) => PLACED.test(field)}
      onConfirm={confirm}
      onClose={onClose}
    >
      {(_, faults) => (
        <div className={classes.fields}>
          <p>{t.edit.lead}</p>
          {shown.map((part) => (
            <JsonEditor
              key={part}
              label={labels[part]}
              text={texts[part] ?? ""}
              onChange={(text) => setTexts((now) => ({ ...now, [part]: text }))}
              rows={14}
            />
          ))}
          <TargetChoice
            label={t.edit.target}
            asItIs={t.edit.asItIs(targetText(task))}
            target={target}
            known={task.target}
            onChange={setTarget}
          />
          {target && <TargetFields target={target} faults={faults} onChange={setTarget} />}
          <OwnPolicy task={task} policy={policy} faults={faults} onChange={setPolicy} />
          {!broken && Object.keys(changes).length === 0 && <p className={classes.quiet}>{t.edit.unchanged}</p>}
        </div>
      )}
    </ConfirmDialog>
  );
}

/** The parts of the policy that this task has for itself, over those of its scene. */
function OwnPolicy({
  task,
  policy,
  faults,
  onChange,
}: {
  task: Task;
  policy: Parts;
  faults: Faults;
  onChange: (policy: Parts) => void;
}) {
  const t = useMessages(messages);
  const [on, setOn] = useState(Object.keys(policy).length > 0);
  const path = { group: task.group, scene: task.scene };
  const scene = $api.useQuery(
    "get",
    "/v1/groups/{group}/scenes/{scene}/effective-policy",
    { params: { path } },
    { enabled: on },
  );
  const settings = new Map(scene.data?.settings.map(({ path: place, origin }) => [place, origin]));
  return (
    <Option
      label={t.edit.policy}
      hint={t.edit.policyHint}
      on={on}
      onSwitch={(next) => {
        setOn(next);
        if (!next) onChange({});
      }}
    >
      <Result query={scene} rows={6}>
        {(found) => (
          <PolicyForm
            sections={["schedule", "bounds", "outcome"]}
            parts={policy}
            below={found.policy as unknown as Parts}
            originOf={(place) => settings.get(place) ?? "default"}
            problems={faults.below("policy")}
            onChange={onChange}
          />
        )}
      </Result>
    </Option>
  );
}

function written(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
