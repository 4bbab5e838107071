import { Button, TextInput } from "@mantine/core";
import { IconBan, IconCheck, IconPlayerPause, IconPlus, IconStack2 } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { $api, api, type Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { pauseOf, useRestraints } from "@/restraints/restraints";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { Empty, Result } from "@/ui/states";
import { Badge } from "@/ui/status-badge";
import { Time } from "@/ui/time";
import { messages } from "../messages";

/** The scenes of a group. */
export function SceneList({ group }: { group: string }) {
  const t = useMessages(messages);
  const [adding, setAdding] = useState(false);
  const { pauses } = useRestraints();
  const scenes = $api.useQuery("get", "/v1/groups/{group}/scenes", { params: { path: { group } } });
  const state = (scene: Schema<"SceneResource">) => {
    if (pauseOf(pauses, group, scene.name))
      return (
        <Badge tone="warn" icon={IconPlayerPause}>
          {t.paused}
        </Badge>
      );
    return scene.enabled ? (
      <Badge tone="good" icon={IconCheck}>
        {t.takes}
      </Badge>
    ) : (
      <Badge tone="quiet" icon={IconBan}>
        {t.refuses}
      </Badge>
    );
  };
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
                  state(scene),
                  t.versionNumber(scene.policy_version),
                  <Time key="created" at={scene.created_at} />,
                ],
              }))}
            />
          )
        }
      </Result>
      {adding && <NewScene group={group} onDone={() => void scenes.refetch()} onClose={() => setAdding(false)} />}
    </Panel>
  );
}

function NewScene({ group, onDone, onClose }: { group: string; onDone: () => void; onClose: () => void }) {
  const t = useMessages(messages);
  const [name, setName] = useState("");
  return (
    <ConfirmDialog
      title={t.addScene}
      action={t.create}
      disabled={!name.trim()}
      onClose={onClose}
      onConfirm={async () => {
        await api.POST("/v1/groups/{group}/scenes", {
          params: { path: { group } },
          body: { name: name.trim() } as never,
        });
        onDone();
      }}
    >
      <TextInput
        label={t.name}
        size="xs"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
        data-autofocus
        required
      />
    </ConfirmDialog>
  );
}
