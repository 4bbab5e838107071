import { TextInput } from "@mantine/core";
import { useState } from "react";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { messages } from "./messages";

/** Asks for the name of something new, and for what describes it, and makes it. */
export function NewNamed({
  title,
  nameHint,
  onCreate,
  onClose,
}: {
  title: string;
  nameHint?: string;
  onCreate: (name: string, description: string) => Promise<unknown>;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  return (
    <ConfirmDialog
      title={title}
      action={t.create}
      disabled={!name.trim()}
      onClose={onClose}
      onConfirm={() => onCreate(name.trim(), description)}
    >
      <TextInput
        label={t.name}
        description={nameHint}
        size="xs"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        data-autofocus
        required
      />
      <TextInput
        label={t.description}
        size="xs"
        mt="sm"
        value={description}
        onChange={(event) => setDescription(event.currentTarget.value)}
      />
    </ConfirmDialog>
  );
}
