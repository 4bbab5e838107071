import { Button, Modal, Textarea, TextInput } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { Faults } from "@/api/faults";
import { Problem } from "@/api/problem";
import { useMessages } from "@/i18n/language";
import classes from "./confirm-dialog.module.css";
import { messages } from "./messages";

export interface ConfirmDialogProps {
  /** What will be done, as a question or a command: “Cancel 3,204 tasks”. */
  title: string;
  /** What it means, with numbers; or a form, which shows what the server refuses where it was typed. */
  children?: ReactNode | ((refused: Readonly<Record<string, string>>, faults: Faults) => ReactNode);
  /** The word of the button: what it does, never “OK”. */
  action: string;
  danger?: boolean;
  /** A word to type first, for what cannot be undone. */
  typed?: string;
  /** Ask for a reason, which `onConfirm` gets. */
  askReason?: boolean;
  disabled?: boolean;
  /** Stands beside the buttons: what the last look should be at. */
  note?: ReactNode;
  /** This step is not the last one: the dialog stays after it. */
  keepOpen?: boolean;
  size?: number;
  /** Fields of the request whose refusal the form shows itself. */
  placed?: (field: string) => boolean;
  onConfirm: (reason: string | null) => Promise<unknown>;
  onClose: () => void;
}

/** Asks before something is done that somebody may regret. It stays open, and says why, when it could not be done. */
export function ConfirmDialog({
  title,
  children,
  action,
  danger,
  typed,
  askReason,
  disabled,
  note,
  keepOpen,
  size = 460,
  placed,
  onConfirm,
  onClose,
}: ConfirmDialogProps) {
  const t = useMessages(messages);
  const [word, setWord] = useState("");
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  async function confirm() {
    setBusy(true);
    setProblem(null);
    try {
      await onConfirm(reason.trim() || null);
      if (!keepOpen) onClose();
    } catch (error) {
      setProblem(Problem.of(error));
    } finally {
      setBusy(false);
    }
  }
  const loose = problem?.errors.filter(({ field }) => !placed?.(field)) ?? [];
  const allPlaced = problem !== null && problem.errors.length > 0 && loose.length === 0;
  return (
    <Modal
      opened
      onClose={onClose}
      title={title}
      size={size}
      classNames={{ title: classes.title ?? "" }}
      closeButtonProps={{ "aria-label": t.close }}
    >
      <form
        className={classes.form}
        onSubmit={(event) => {
          event.preventDefault();
          void confirm();
        }}
      >
        <div className={classes.text}>
          {typeof children === "function"
            ? children(problem?.byField ?? {}, new Faults(problem?.errors ?? []))
            : children}
        </div>
        {askReason && (
          <Textarea
            label={t.reason}
            description={t.reasonHint}
            size="xs"
            rows={2}
            maxLength={1000}
            value={reason}
            onChange={(event) => setReason(event.currentTarget.value)}
          />
        )}
        {typed && (
          <TextInput
            label={t.typeToConfirm(typed)}
            size="xs"
            value={word}
            onChange={(event) => setWord(event.currentTarget.value)}
            data-autofocus
          />
        )}
        {problem && (
          <div className={classes.problem} role="alert">
            <strong>{problem.title}</strong> {allPlaced ? t.seeFields : problem.detail}
            {loose.map(({ field, message }) => (
              <div key={field}>
                <code>{field}</code> {message}
              </div>
            ))}
          </div>
        )}
        <div className={classes.buttons}>
          {note && <span className={classes.note}>{note}</span>}
          <Button size="sm" onClick={onClose}>
            {t.cancel}
          </Button>
          <Button
            size="sm"
            type="submit"
            variant="filled"
            color={danger ? "red" : undefined}
            loading={busy}
            disabled={disabled || (typed !== undefined && word !== typed)}
          >
            {action}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
