import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { useState } from "react";
import { api } from "@/api/client";
import { useLanguage, useMessages } from "@/i18n/language";
import { formatDuration, formatExact } from "@/i18n/time";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { parseAge } from "@/ui/query";
import { sayDone } from "@/ui/say";
import { useNow } from "@/ui/time";
import type { Task } from "../hooks/use-task";
import { messages } from "../messages";
import classes from "./dialogs.module.css";

const DELAYS = ["1m", "10m", "1h", "6h", "24h"] as const;

/** Asks for another time of the next attempt. */
export function RescheduleDialog({
  task,
  onChanged,
  onClose,
}: {
  task: Task;
  onChanged: (task: Task) => void;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const now = useNow();
  const [mode, setMode] = useState<"in" | "at">("in");
  const [delay, setDelay] = useState<string>("10m");
  const [at, setAt] = useState("");
  const seconds = parseAge(delay.trim());
  const moment = mode === "in" ? (seconds === null ? null : new Date(now + seconds * 1000)) : at ? new Date(at) : null;

  async function confirm(reason: string | null) {
    const body = mode === "in" ? { delay_seconds: seconds, reason } : { at: moment?.toISOString(), reason };
    const { data } = await api.POST("/v1/tasks/{task_id}/reschedule", { params: { path: { task_id: task.id } }, body });
    if (data) onChanged(data);
    sayDone(t.done.reschedule);
  }
  return (
    <ConfirmDialog
      title={t.reschedule.title}
      action={t.reschedule.submit}
      askReason
      disabled={moment === null}
      onConfirm={confirm}
      onClose={onClose}
    >
      <div className={classes.fields}>
        <SegmentedControl
          fullWidth
          value={mode}
          onChange={(value) => setMode(value as "in" | "at")}
          data={[
            { value: "in", label: t.reschedule.in },
            { value: "at", label: t.reschedule.at },
          ]}
        />
        {mode === "in" ? (
          <>
            <div className={classes.choices}>
              {DELAYS.map((choice) => (
                <Button
                  key={choice}
                  size="compact-sm"
                  variant={choice === delay ? "filled" : "default"}
                  onClick={() => setDelay(choice)}
                >
                  {formatDuration(parseAge(choice) ?? 0, spoken)}
                </Button>
              ))}
            </div>
            <TextInput
              aria-label={t.reschedule.in}
              value={delay}
              onChange={(event) => setDelay(event.currentTarget.value)}
              error={seconds === null ? "90s, 15m, 2h, 1d" : undefined}
            />
          </>
        ) : (
          <TextInput
            type="datetime-local"
            aria-label={t.reschedule.at}
            description={t.reschedule.zone(Intl.DateTimeFormat().resolvedOptions().timeZone)}
            step={1}
            value={at}
            onChange={(event) => setAt(event.currentTarget.value)}
          />
        )}
        {moment && <p className={classes.result}>{formatExact(moment, spoken).replace(/\.\d+/, "")}</p>}
      </div>
    </ConfirmDialog>
  );
}
