import { Button } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { $api, api } from "@/api/client";
import { useKept } from "@/app/kept";
import { namespace } from "@/app/session";
import { NewNamed } from "@/configuration/new-named";
import { useMessages } from "@/i18n/language";
import { Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { sayDone } from "@/ui/say";
import { Result } from "@/ui/states";
import { Badge } from "@/ui/status-badge";
import { Time } from "@/ui/time";
import { messages } from "../messages";
import { Retention } from "./retention";
import classes from "./settings.module.css";

/** The isolation units that the key opens. */
export function Namespaces() {
  const t = useMessages(messages);
  const shown = useKept(namespace);
  const navigate = useNavigate();
  const [adding, setAdding] = useState(false);
  const namespaces = $api.useQuery("get", "/v1/namespaces");
  return (
    <div className={classes.stack}>
      <Panel
        flush
        title={t.tabs.namespaces}
        aside={
          <Button leftSection={<IconPlus size={14} />} onClick={() => setAdding(true)}>
            {t.addNamespace}
          </Button>
        }
      >
        <Result query={namespaces} rows={3}>
          {({ items }) => (
            <Rows
              label={t.tabs.namespaces}
              head={[t.name, t.description, t.autoCreate, t.created, ""]}
              rows={items.map(({ name, description, auto_create, created_at }) => ({
                key: name,
                cells: [
                  name,
                  description,
                  auto_create ? t.yes : t.no,
                  <Time key="created" at={created_at} />,
                  name === shown ? (
                    <Badge key="shown" tone="info">
                      {t.shown}
                    </Badge>
                  ) : (
                    <Button
                      key="show"
                      size="compact-xs"
                      onClick={() => void navigate({ to: "/", search: { namespace: name } })}
                    >
                      {t.show}
                    </Button>
                  ),
                ],
              }))}
            />
          )}
        </Result>
      </Panel>
      <Retention />
      {adding && (
        <NewNamed
          title={t.addNamespace}
          onClose={() => setAdding(false)}
          onCreate={async (name, description) => {
            await api.POST("/v1/namespaces", { body: { name, description } as never });
            void namespaces.refetch();
            sayDone(t.createdNamespace(name));
          }}
        />
      )}
    </div>
  );
}
