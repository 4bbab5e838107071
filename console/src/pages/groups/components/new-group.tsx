import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { api } from "@/api/client";
import { NewNamed } from "@/configuration/new-named";
import { useMessages } from "@/i18n/language";
import { sayDone } from "@/ui/say";
import { messages } from "../messages";

/** Makes a group, and leads to it. */
export function NewGroup({ onClose }: { onClose: () => void }) {
  const t = useMessages(messages);
  const navigate = useNavigate();
  const client = useQueryClient();
  return (
    <NewNamed
      title={t.addTitle}
      nameHint={t.nameHint}
      onClose={onClose}
      onCreate={async (name, description) => {
        await api.POST("/v1/groups", {
          body: { name, description, policy: {} as never, weight: 1, auto_create: true, enabled: true },
        });
        await client.invalidateQueries({ queryKey: ["get", "/v1/groups"] });
        sayDone(t.created_(name));
        void navigate({ to: "/groups/$group", params: { group: name } });
      }}
    />
  );
}
