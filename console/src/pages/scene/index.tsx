import { Button, Tabs } from "@mantine/core";
import { IconChecklist, IconMailOff } from "@tabler/icons-react";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { $api } from "@/api/client";
import { IntakeBadge } from "@/configuration/intake-badge";
import { useMessages } from "@/i18n/language";
import { useDefaults } from "@/policy/defaults";
import { Page } from "@/ui/page";
import { Result } from "@/ui/states";
import { ScenePolicy } from "./components/scene-policy";
import { SceneSettings } from "./components/scene-settings";
import { Versions } from "./components/versions";
import { messages } from "./messages";
import { SCENE_TABS } from "./search";

export default function ScenePage() {
  const t = useMessages(messages);
  const { group, scene: name } = useParams({ from: "/groups/$group/scenes/$scene" });
  const { tab = "policy" } = useSearch({ from: "/groups/$group/scenes/$scene" });
  const navigate = useNavigate({ from: "/groups/$group/scenes/$scene" });
  const scene = $api.useQuery("get", "/v1/groups/{group}/scenes/{scene}", { params: { path: { group, scene: name } } });
  useDefaults(); // comes while the scene does, for the policy below
  const q = `group:${group} scene:${name}`;
  return (
    <Page
      title={name}
      above={[
        { label: t.groups, link: { to: "/groups" } },
        { label: group, link: { to: "/groups/$group", params: { group } } },
      ]}
      lead={scene.data?.description}
      beside={scene.data?.enabled === false && <IntakeBadge enabled={false} paused={false} />}
      actions={
        <>
          <Button component={Link} to="/tasks" search={{ q } as never} leftSection={<IconChecklist size={14} />}>
            {t.tasks}
          </Button>
          <Button component={Link} to="/dead-letters" search={{ q } as never} leftSection={<IconMailOff size={14} />}>
            {t.deadLetters}
          </Button>
        </>
      }
    >
      <Result query={scene} rows={10}>
        {(data) => (
          <Tabs value={tab} onChange={(chosen) => void navigate({ search: { tab: chosen as typeof tab } })}>
            <Tabs.List mb="md">
              {SCENE_TABS.map((id) => (
                <Tabs.Tab key={id} value={id}>
                  {t.tabs[id]}
                </Tabs.Tab>
              ))}
            </Tabs.List>
            <Tabs.Panel value="policy">
              <ScenePolicy scene={data} onSaved={() => void scene.refetch()} />
            </Tabs.Panel>
            <Tabs.Panel value="versions">
              <Versions scene={data} onChanged={() => void scene.refetch()} />
            </Tabs.Panel>
            <Tabs.Panel value="settings">
              <SceneSettings scene={data} onSaved={() => scene.refetch()} />
            </Tabs.Panel>
          </Tabs>
        )}
      </Result>
    </Page>
  );
}
