import { Button, TextInput } from "@mantine/core";
import { IconPlus, IconSearch, IconSitemap } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { $api } from "@/api/client";
import { useLive } from "@/api/events";
import { useMessages } from "@/i18n/language";
import { useRestraints } from "@/restraints/restraints";
import { DataTable } from "@/ui/data-table";
import { Page } from "@/ui/page";
import { Empty, Result } from "@/ui/states";
import { ConfigurationMenu } from "./components/configuration-menu";
import { useGroupColumns } from "./components/group-columns";
import { NewGroup } from "./components/new-group";
import { messages } from "./messages";

export default function GroupsPage() {
  const t = useMessages(messages);
  const { q } = useSearch({ from: "/groups" });
  const navigate = useNavigate();
  const [adding, setAdding] = useState(false);
  const groups = $api.useQuery("get", "/v1/groups");
  const nodes = $api.useQuery("get", "/v1/nodes");
  const { pauses } = useRestraints();
  useLive(["nodes"], () => void nodes.refetch());
  const { columns, card } = useGroupColumns(nodes.data?.items ?? [], pauses);
  return (
    <Page
      title={t.title}
      lead={t.lead}
      filled
      actions={
        <>
          <TextInput
            aria-label={t.search}
            placeholder={t.search}
            size="xs"
            leftSection={<IconSearch size={14} />}
            value={q ?? ""}
            onChange={(event) =>
              void navigate({ to: "/groups", search: { q: event.currentTarget.value || undefined }, replace: true })
            }
          />
          <ConfigurationMenu onApplied={() => void groups.refetch()} />
          <Button variant="filled" leftSection={<IconPlus size={14} />} onClick={() => setAdding(true)}>
            {t.add}
          </Button>
        </>
      }
    >
      <Result query={groups} rows={8}>
        {({ items }) => (
          <DataTable
            label={t.title}
            columns={columns}
            card={card}
            rows={items.filter(({ name }) => name.toLowerCase().includes((q ?? "").toLowerCase()))}
            rowId={({ name }) => name}
            link={({ name }) => ({ to: "/groups/$group", params: { group: name } })}
            empty={
              items.length === 0 ? (
                <Empty icon={IconSitemap} title={t.empty} hint={t.emptyHint} />
              ) : (
                <Empty icon={IconSearch} title={t.nothing} />
              )
            }
          />
        )}
      </Result>
      {adding && <NewGroup onClose={() => setAdding(false)} />}
    </Page>
  );
}
