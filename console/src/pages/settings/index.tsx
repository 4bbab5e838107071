import { Tabs } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMessages } from "@/i18n/language";
import { Page } from "@/ui/page";
import { About } from "./components/about";
import { AuditLog } from "./components/audit-log";
import { Keys } from "./components/keys";
import { NamespacePolicy } from "./components/namespace-policy";
import { Namespaces } from "./components/namespaces";
import { messages } from "./messages";
import { SETTINGS_TABS } from "./search";

const TABS = { namespaces: Namespaces, policy: NamespacePolicy, keys: Keys, audit: AuditLog, about: About };

export default function SettingsPage() {
  const t = useMessages(messages);
  const { tab = "namespaces" } = useSearch({ from: "/settings" });
  const navigate = useNavigate({ from: "/settings" });
  return (
    <Page title={t.title}>
      <Tabs value={tab} onChange={(chosen) => void navigate({ search: { tab: chosen as typeof tab } })}>
        <Tabs.List mb="md">
          {SETTINGS_TABS.map((id) => (
            <Tabs.Tab key={id} value={id}>
              {t.tabs[id]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {SETTINGS_TABS.map((id) => {
          const Content = TABS[id];
          return (
            <Tabs.Panel key={id} value={id}>
              <Content />
            </Tabs.Panel>
          );
        })}
      </Tabs>
    </Page>
  );
}
