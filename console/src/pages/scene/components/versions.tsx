import { Button } from "@mantine/core";
import { IconCheck } from "@tabler/icons-react";
import { useState } from "react";
import { $api, api, type Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { Differences } from "@/ui/differences";
import { Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { sayDone } from "@/ui/say";
import { Result } from "@/ui/states";
import { Badge } from "@/ui/status-badge";
import { Time } from "@/ui/time";
import { messages } from "../messages";

/** All versions of the scene's policy: who made them, what they changed, and the way back. */
export function Versions({ scene, onChanged }: { scene: Schema<"SceneResource">; onChanged: () => void }) {
  const t = useMessages(messages);
  const [rollback, setRollback] = useState<number | null>(null);
  const [compared, setCompared] = useState<number | null>(null);
  const params = { path: { group: scene.group, scene: scene.name } };
  const versions = $api.useQuery("get", "/v1/groups/{group}/scenes/{scene}/policies", { params });
  return (
    <>
      <Panel flush title={t.tabs.versions}>
        <Result query={versions}>
          {({ items }) => (
            <Rows
              label={t.tabs.versions}
              head={[t.version, t.author, t.note, t.created, ""]}
              rows={items.map(({ version, author, note, created_at }) => ({
                key: String(version),
                cells: [
                  version === scene.policy_version ? (
                    <Badge key="version" tone="good" icon={IconCheck}>
                      {`${version} ${t.inForce}`}
                    </Badge>
                  ) : (
                    version
                  ),
                  author ?? "–",
                  note,
                  <Time key="created" at={created_at} />,
                  <span key="buttons">
                    {version > 1 && (
                      <Button size="compact-xs" variant="subtle" onClick={() => setCompared(version)}>
                        {t.compare}
                      </Button>
                    )}
                    {version !== scene.policy_version && (
                      <Button size="compact-xs" variant="subtle" onClick={() => setRollback(version)}>
                        {t.rollback}
                      </Button>
                    )}
                  </span>,
                ],
              }))}
            />
          )}
        </Result>
      </Panel>
      {compared !== null && <Comparison scene={scene} from={compared - 1} to={compared} />}
      {rollback !== null && (
        <ConfirmDialog
          title={t.rollbackTitle(rollback)}
          action={t.rollback}
          askReason
          onClose={() => setRollback(null)}
          onConfirm={async (reason) => {
            const body = { version: rollback, note: reason ?? "" };
            const { data } = await api.POST("/v1/groups/{group}/scenes/{scene}/policy/rollback", { params, body });
            onChanged();
            await versions.refetch();
            sayDone(t.policySaved(data?.version ?? rollback));
          }}
        >
          <Comparison scene={scene} from={scene.policy_version} to={rollback} />
          <p>{t.rollbackText(scene.policy_version + 1)}</p>
        </ConfirmDialog>
      )}
    </>
  );
}

function Comparison({ scene, from, to }: { scene: Schema<"SceneResource">; from: number; to: number }) {
  const t = useMessages(messages);
  const diff = $api.useQuery("get", "/v1/groups/{group}/scenes/{scene}/policies/diff", {
    params: { path: { group: scene.group, scene: scene.name }, query: { from, to } },
  });
  return (
    <Panel title={t.changesTo(from, to)}>
      <Result query={diff} rows={2}>
        {({ changes }) => (changes.length === 0 ? t.same : <Differences of={changes} />)}
      </Result>
    </Panel>
  );
}
