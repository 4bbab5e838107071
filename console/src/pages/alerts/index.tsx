import { Tabs } from "@mantine/core";
import { getRouteApi } from "@tanstack/react-router";
import { useMessages } from "@/i18n/language";
import { Page } from "@/ui/page";
import { Channels } from "./components/channels";
import { Events } from "./components/events";
import { Rules } from "./components/rules";
import { messages } from "./messages";
import { TABS } from "./search";

const route = getRouteApi("/alerts");
const CONTENTS = { rules: Rules, channels: Channels, events: Events };

export default function AlertsPage() {
  const t = useMessages(messages);
  const { tab = "rules" } = route.useSearch();
  const navigate = route.useNavigate();
  return (
    <Page title={t.title}>
      <Tabs value={tab} onChange={(chosen) => void navigate({ search: { tab: chosen as typeof tab } })}>
        <Tabs.List mb="md">
          {TABS.map((id) => (
            <Tabs.Tab key={id} value={id}>
              {t.tabs[id]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {TABS.map((id) => {
          const Content = CONTENTS[id];
          return (
            <Tabs.Panel key={id} value={id}>
              {id === tab && <Content />}
            </Tabs.Panel>
          );
        })}
      </Tabs>
    </Page>
  );
}
