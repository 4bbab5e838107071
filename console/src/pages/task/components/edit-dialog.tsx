import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { JsonEditor, parseJson } from "@/ui/json";
import { sayDone } from "@/ui/say";
import type { Task } from "../hooks/use-task";
import { messages } from "../messages";
import classes from "./dialogs.module.css";

const PARTS = ["args", "kwargs", "body", "policy"] as const;
type Part = (typeof PARTS)[number];

/** Changes what the call is made with, and makes it again. The server refuses what the scene's schema does not allow. */
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
  const before: Record<Part, unknown> = {
    args: task.args,
    kwargs: task.kwargs,
    body: task.body ?? null,
    policy: task.policy_override ?? {},
  };
  const shown = PARTS.filter(
    (part) =>
      part === "policy" ||
      part === "kwargs" ||
      (part === "args" && (task.args.length > 0 || task.executor !== null)) ||
      (part === "body" && before.body !== null),
  );
  const written = (value: unknown) => JSON.stringify(value, null, 2);
  const [texts, setTexts] = useState(
    () => Object.fromEntries(PARTS.map((part) => [part, written(before[part])])) as Record<Part, string>,
  );
  const labels = { args: t.args, kwargs: t.kwargs, body: t.body, policy: t.edit.policy };
  const values = shown.map((part) => [part, parseJson(texts[part])] as const);
  const broken = values.some(([, parsed]) => "why" in parsed);
  const changes = Object.fromEntries(
    values.flatMap(([part, parsed]) =>
      "value" in parsed && JSON.stringify(parsed.value) !== JSON.stringify(before[part]) ? [[part, parsed.value]] : [],
    ),
  );

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
      size={680}
      disabled={broken}
      onConfirm={confirm}
      onClose={onClose}
    >
      <div className={classes.fields}>
        <p>{t.edit.lead}</p>
        {shown.map((part) => (
          <JsonEditor
            key={part}
            label={labels[part]}
            description={part === "policy" ? t.edit.policyHint : undefined}
            text={texts[part]}
            onChange={(text) => setTexts((now) => ({ ...now, [part]: text }))}
            rows={part === "policy" ? 8 : 14}
          />
        ))}
        {!broken && Object.keys(changes).length === 0 && <p className={classes.quiet}>{t.edit.unchanged}</p>}
      </div>
    </ConfirmDialog>
  );
}
