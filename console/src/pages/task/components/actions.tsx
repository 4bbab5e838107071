import { ActionIcon, Button, Menu } from "@mantine/core";
import {
  IconCalendarTime,
  IconDots,
  IconPencil,
  IconPlayerPause,
  IconPlayerPlay,
  IconRefresh,
  IconTrash,
  IconX,
} from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "@/api/client";
import { useShortcuts } from "@/app/keyboard";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { asCurl, CopyAs } from "@/ui/copy";
import { sayDone } from "@/ui/say";
import { isOpen, type Task } from "../hooks/use-task";
import { messages } from "../messages";
import { EditDialog } from "./edit-dialog";
import { RescheduleDialog } from "./reschedule-dialog";

type Operation = "retry" | "pause" | "resume" | "cancel";
type Dialog = Operation | "delete" | "reschedule" | "edit";

/** What can be done to the task where it stands. */
export function Actions({ task, onChanged }: { task: Task; onChanged: (task: Task) => void }) {
  const t = useMessages(messages);
  const navigate = useNavigate();
  const [dialog, setDialog] = useState<Dialog | null>(null);
  const open = isOpen(task);
  const replayable = task.status === "dead" || task.status === "cancelled";
  const can = {
    retry: (open && task.status !== "running") || replayable,
    pause: open && task.status !== "paused",
    resume: task.status === "paused",
    reschedule: open && task.status !== "running",
    cancel: open,
    edit: (open && task.status !== "running") || replayable,
    delete: !open,
  };
  useShortcuts([
    ...(can.retry
      ? [{ keys: "r", label: replayable ? t.action.replay : t.action.retry, run: () => setDialog("retry") }]
      : []),
    ...(can.pause ? [{ keys: "p", label: t.action.pause, run: () => setDialog("pause") }] : []),
    ...(can.resume ? [{ keys: "p", label: t.action.resume, run: () => setDialog("resume") }] : []),
    ...(can.edit ? [{ keys: "e", label: t.action.edit, run: () => setDialog("edit") }] : []),
  ]);

  async function operate(operation: Operation, reason: string | null) {
    const request = { params: { path: { task_id: task.id } }, body: { reason } };
    const answers = {
      retry: () => api.POST("/v1/tasks/{task_id}/retry", request),
      pause: () => api.POST("/v1/tasks/{task_id}/pause", request),
      resume: () => api.POST("/v1/tasks/{task_id}/resume", request),
      cancel: () => api.POST("/v1/tasks/{task_id}/cancel", request),
    };
    const { data } = await answers[operation]();
    if (data) onChanged(data);
    sayDone(operation === "retry" && replayable ? t.done.replay : t.done[operation]);
  }
  async function remove() {
    await api.DELETE("/v1/tasks/{task_id}", { params: { path: { task_id: task.id } } });
    sayDone(t.done.delete);
    await navigate({ to: "/tasks" });
  }
  const close = () => setDialog(null);
  const text = {
    retry: replayable
      ? t.confirm.replayText(task.generation + 1, task.max_attempts)
      : t.confirm.retryText(task.attempts + 1, task.max_attempts),
    pause: t.confirm.pauseText,
    resume: t.confirm.resumeText,
    cancel: t.confirm.cancelText(Math.max(0, task.max_attempts - task.attempts)),
  };
  return (
    <>
      {can.retry && (
        <Button
          variant="filled"
          leftSection={replayable ? <IconRefresh size={15} /> : <IconPlayerPlay size={15} />}
          onClick={() => setDialog("retry")}
        >
          {replayable ? t.action.replay : t.action.retry}
        </Button>
      )}
      {can.edit && (
        <Button leftSection={<IconPencil size={15} />} onClick={() => setDialog("edit")}>
          {t.action.edit}
        </Button>
      )}
      {can.resume && (
        <Button leftSection={<IconPlayerPlay size={15} />} onClick={() => setDialog("resume")}>
          {t.action.resume}
        </Button>
      )}
      {can.pause && (
        <Button leftSection={<IconPlayerPause size={15} />} onClick={() => setDialog("pause")}>
          {t.action.pause}
        </Button>
      )}
      <CopyAs
        choices={[
          { label: t.copy.cliShow, text: () => `redrive tasks show ${task.id}` },
          { label: t.copy.cliRetry, text: () => `redrive tasks retry ${task.id}` },
          { label: t.copy.curlShow, text: () => asCurl("GET", `/v1/tasks/${task.id}?namespace=${task.namespace}`) },
          {
            label: t.copy.curlRetry,
            text: () => asCurl("POST", `/v1/tasks/${task.id}/retry?namespace=${task.namespace}`, {}),
          },
          { label: t.copy.json, text: () => JSON.stringify(task, null, 2) },
        ]}
      />
      {(can.reschedule || can.cancel || can.delete) && (
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="default" size={30} aria-label={t.action.more}>
              <IconDots size={16} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            {can.reschedule && (
              <Menu.Item leftSection={<IconCalendarTime size={15} />} onClick={() => setDialog("reschedule")}>
                {t.action.reschedule}
              </Menu.Item>
            )}
            {can.cancel && (
              <Menu.Item color="red" leftSection={<IconX size={15} />} onClick={() => setDialog("cancel")}>
                {t.action.cancel}
              </Menu.Item>
            )}
            {can.delete && (
              <Menu.Item color="red" leftSection={<IconTrash size={15} />} onClick={() => setDialog("delete")}>
                {t.action.delete}
              </Menu.Item>
            )}
          </Menu.Dropdown>
        </Menu>
      )}
      {(dialog === "retry" || dialog === "pause" || dialog === "resume" || dialog === "cancel") && (
        <ConfirmDialog
          title={dialog === "retry" && replayable ? t.confirm.replay : t.confirm[dialog]}
          action={dialog === "retry" && replayable ? t.action.replay : t.action[dialog]}
          danger={dialog === "cancel"}
          askReason
          onConfirm={(reason) => operate(dialog, reason)}
          onClose={close}
        >
          {text[dialog]}
        </ConfirmDialog>
      )}
      {dialog === "delete" && (
        <ConfirmDialog title={t.confirm.delete} action={t.action.delete} danger onConfirm={remove} onClose={close}>
          {t.confirm.deleteText(task.attempts)}
        </ConfirmDialog>
      )}
      {dialog === "reschedule" && <RescheduleDialog task={task} onChanged={onChanged} onClose={close} />}
      {dialog === "edit" && <EditDialog task={task} onChanged={onChanged} onClose={close} />}
    </>
  );
}
