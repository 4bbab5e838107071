import { TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { sayDone } from "@/ui/say";
import { messages } from "../messages";

/** Makes a group, and leads to it. */
export function NewGroup({ onClose }: { onClose: () => void }) {
  const t = useMessages(messages);
  const navigate = useNavigate();
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  return (
    <ConfirmDialog
      title={t.addTitle}
      action={t.create}
      disabled={!name.trim()}
      onClose={onClose}
      onConfirm={async () => {
        await api.POST("/v1/groups", {
          body: { name: name.trim(), description, policy: {} as never, weight: 1, auto_create: true, enabled: true },
        });
        await client.invalidateQueries({ queryKey: ["get", "/v1/groups"] });
        sayDone(t.created_(name.trim()));
        void navigate({ to: "/groups/$group", params: { group: name.trim() } });
      }}
    >
      <TextInput
        label={t.name}
        description={t.nameHint}
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
