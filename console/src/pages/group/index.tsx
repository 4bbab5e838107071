import { Button, Tabs } from "@mantine/core";
import { IconChecklist } from "@tabler/icons-react";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { $api, api } from "@/api/client";
import { IntakeBadge } from "@/configuration/intake-badge";
import { useMessages } from "@/i18n/language";
import { LayerPolicy } from "@/policy/layer-policy";
import { useNamespacePolicy } from "@/policy/layers";
import { asRequest, type Parts } from "@/policy/parts";
import { RestraintsPanel } from "@/restraints/restraints-panel";
import { Page } from "@/ui/page";
import { sayDone } from "@/ui/say";
import { Result } from "@/ui/states";
import { GroupSettings } from "./components/group-settings";
import { SceneList } from "./components/scene-list";
import { Secrets } from "./components/secrets";
import { messages } from "./messages";
import { GROUP_TABS } from "./search";

export default function GroupPage() {
  const t = useMessages(messages);
  const { group: name } = useParams({ from: "/groups/$group" });
  const { tab = "scenes" } = useSearch({ from: "/groups/$group" });
  const navigate = useNavigate({ from: "/groups/$group" });
  const group = $api.useQuery("get", "/v1/groups/{group}", { params: { path: { group: name } } });
  const namespacePolicy = useNamespacePolicy();
  return (
    <Page
      title={name}
      above={[{ label: t.groups, link: { to: "/groups" } }]}
      lead={group.data?.description}
      beside={group.data?.enabled === false && <IntakeBadge enabled={false} paused={false} />}
      actions={
        <Button
          component={Link}
          to="/tasks"
          search={{ q: `group:${name}` } as never}
          leftSection={<IconChecklist size={14} />}
        >
          {t.tasks}
        </Button>
      }
    >
      <Result query={group} rows={10}>
        {(data) => (
          <Tabs value={tab} onChange={(chosen) => void navigate({ search: { tab: chosen as typeof tab } })}>
            <Tabs.List mb="md">
              {GROUP_TABS.map((id) => (
                <Tabs.Tab key={id} value={id}>
                  {t.tabs[id]}
                </Tabs.Tab>
              ))}
            </Tabs.List>
            <Tabs.Panel value="scenes">
              <SceneList group={name} />
            </Tabs.Panel>
            <Tabs.Panel value="policy">
              <Result query={namespacePolicy} rows={12}>
                {(below) => (
                  <LayerPolicy
                    saved={data.policy as Parts}
                    layers={[{ origin: "namespace", parts: below }]}
                    note={t.policyNote}
                    onSave={async (parts) => {
                      const params = { path: { group: name } };
                      await api.PATCH("/v1/groups/{group}", { params, body: { policy: asRequest(parts) } as never });
                      await group.refetch();
                      sayDone(t.policySaved);
                    }}
                  />
                )}
              </Result>
            </Tabs.Panel>
            <Tabs.Panel value="settings">
              <GroupSettings group={data} onSaved={() => void group.refetch()}>
                <RestraintsPanel of={{ group: name }} />
                <Secrets group={name} />
              </GroupSettings>
            </Tabs.Panel>
          </Tabs>
        )}
      </Result>
    </Page>
  );
}
