import { Button } from "@mantine/core";
import { IconPlus, IconStack2 } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { $api, api } from "@/api/client";
import { IntakeBadge } from "@/configuration/intake-badge";
import { NewNamed } from "@/configuration/new-named";
import { useMessages } from "@/i18n/language";
import { pauseOf, useRestraints } from "@/restraints/restraints";
import { Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { Empty, Result } from "@/ui/states";
import { Time } from "@/ui/time";
import { messages } from "../messages";

/** The scenes of a group. */
export function SceneList({ group }: { group: string }) {
  const t = useMessages(messages);
  const [adding, setAdding] = useState(false);
  const { pauses } = useRestraints();
  const scenes = $api.useQuery("get", "/v1/groups/{group}/scenes", { params: { path: { group } } });
  return (
    <Panel
      flush
      title={t.tabs.scenes}
      aside={
        <Button leftSection={<IconPlus size={14} />} onClick={() => setAdding(true)}>
          {t.addScene}
        </Button>
      }
    >
      <Result query={scenes}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty icon={IconStack2} title={t.noScenes} hint={t.noScenesHint} />
          ) : (
            <Rows
              label={t.tabs.scenes}
              head={[t.scene, t.description, t.state, t.version, t.created]}
              rows={items.map((scene) => ({
                key: scene.name,
                cells: [
                  <Link key="name" to="/groups/$group/scenes/$scene" params={{ group, scene: scene.name }}>
                    {scene.name}
                  </Link>,
                  scene.description,
                  <IntakeBadge
                    key="state"
                    enabled={scene.enabled}
                    paused={pauseOf(pauses, group, scene.name) !== undefined}
                  />,
                  t.versionNumber(scene.policy_version),
                  <Time key="created" at={scene.created_at} />,
                ],
              }))}
            />
          )
        }
      </Result>
      {adding && (
        <NewNamed
          title={t.addScene}
          onClose={() => setAdding(false)}
          onCreate={async (name, description) => {
            const body = { name, description } as never;
            await api.POST("/v1/groups/{group}/scenes", { params: { path: { group } }, body });
            void scenes.refetch();
          }}
        />
      )}
    </Panel>
  );
}
