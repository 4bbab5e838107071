import { api } from "@/api/client";
import { useKept } from "@/app/kept";
import { namespace } from "@/app/session";
import { useMessages } from "@/i18n/language";
import { LayerPolicy } from "@/policy/layer-policy";
import { useNamespacePolicy } from "@/policy/layers";
import { asRequest } from "@/policy/parts";
import { sayDone } from "@/ui/say";
import { Result } from "@/ui/states";
import { messages } from "../messages";

/** What the namespace says of the policy of all its groups. */
export function NamespacePolicy() {
  const t = useMessages(messages);
  const name = useKept(namespace);
  const saved = useNamespacePolicy();
  return (
    <Result query={saved} rows={14}>
      {(parts) => (
        <LayerPolicy
          saved={parts}
          layers={[]}
          note={t.policyNote}
          onSave={async (edited) => {
            const body = { policy: asRequest(edited) } as never;
            await api.PATCH("/v1/namespaces/{name}", { params: { path: { name } }, body });
            await saved.refetch();
            sayDone(t.policySaved);
          }}
        />
      )}
    </Result>
  );
}
