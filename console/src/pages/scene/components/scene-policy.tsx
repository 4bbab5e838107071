import { Button } from "@mantine/core";
import { useState } from "react";
import { $api, api, type Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { LayerPolicy } from "@/policy/layer-policy";
import { useNamespacePolicy } from "@/policy/layers";
import { asRequest, type Parts } from "@/policy/parts";
import { sayDone } from "@/ui/say";
import { Result } from "@/ui/states";
import { messages } from "../messages";
import { ApplyDialog } from "./apply-dialog";

type Scene = Schema<"SceneResource">;

/** The scene's policy as it is being edited, and the way to bring it to the tasks that wait already. */
export function ScenePolicy({ scene, onSaved }: { scene: Scene; onSaved: () => void }) {
  const t = useMessages(messages);
  const [applying, setApplying] = useState(false);
  const path = { group: scene.group, scene: scene.name };
  const namespacePolicy = useNamespacePolicy();
  const group = $api.useQuery("get", "/v1/groups/{group}", { params: { path: { group: scene.group } } });
  const version = $api.useQuery("get", "/v1/groups/{group}/scenes/{scene}/policies/{version}", {
    params: { path: { ...path, version: scene.policy_version } },
  });
  const failed = [namespacePolicy, group, version].find(({ error }) => error);
  const data =
    namespacePolicy.data && group.data && version.data
      ? { namespace: namespacePolicy.data, group: group.data.policy as Parts, scene: version.data.policy as Parts }
      : undefined;
  return (
    <>
      <Result query={{ data, error: failed?.error, refetch: () => failed?.refetch() }} rows={14}>
        {(layers) => (
          <LayerPolicy
            saved={layers.scene}
            layers={[
              { origin: "namespace", parts: layers.namespace },
              { origin: "group", parts: layers.group },
            ]}
            aside={
              <>
                {t.versionNumber(scene.policy_version)}
                <Button size="compact-xs" onClick={() => setApplying(true)}>
                  {t.apply}
                </Button>
              </>
            }
            note={t.policyNote}
            onSave={async (parts) => {
              const { data: saved } = await api.PUT("/v1/groups/{group}/scenes/{scene}/policy", {
                params: { path },
                body: { policy: asRequest(parts), note: "" },
              });
              onSaved();
              sayDone(t.policySaved(saved?.version ?? scene.policy_version + 1));
            }}
          />
        )}
      </Result>
      {applying && <ApplyDialog scene={scene} onClose={() => setApplying(false)} />}
    </>
  );
}
