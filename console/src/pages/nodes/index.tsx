import { SegmentedControl, TextInput } from "@mantine/core";
import { IconSearch, IconServer2 } from "@tabler/icons-react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { $api, api } from "@/api/client";
import { useLive } from "@/api/events";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { DataTable } from "@/ui/data-table";
import { Page } from "@/ui/page";
import { sayDone } from "@/ui/say";
import { Empty, Result } from "@/ui/states";
import { type Node, useNodeColumns } from "./components/node-columns";
import { messages } from "./messages";
import { NODE_STATES, type NodesSearch } from "./search";

export default function NodesPage() {
  const t = useMessages(messages);
  const { q = "", status } = useSearch({ from: "/nodes" });
  const navigate = useNavigate({ from: "/nodes" });
  const nodes = $api.useQuery("get", "/v1/nodes", {}, { refetchInterval: 10_000 });
  useLive(["nodes"], () => void nodes.refetch());
  const [draining, setDraining] = useState<Node | null>(null);
  const [forgetting, setForgetting] = useState<Node | null>(null);
  const { columns, card } = useNodeColumns(setDraining, setForgetting);
  const search = (change: NodesSearch) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  const all = nodes.data?.items ?? [];
  const others = (node: Node) =>
    all.filter((other) => other.group === node.group && other.id !== node.id && other.status === "live").length;
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
            w={250}
            leftSection={<IconSearch size={14} />}
            value={q}
            onChange={(event) => search({ q: event.currentTarget.value || undefined })}
          />
          <SegmentedControl
            aria-label={t.state}
            value={status ?? ""}
            onChange={(chosen) => search({ status: (chosen || undefined) as NodesSearch["status"] })}
            data={[
              { value: "", label: `${t.all} ${all.length}` },
              ...NODE_STATES.map((state) => ({
                value: state,
                label: `${t.status[state]} ${all.filter((node) => node.status === state).length}`,
              })),
            ]}
          />
        </>
      }
    >
      <Result query={nodes} rows={8}>
        {({ items }) => (
          <DataTable
            label={t.title}
            columns={columns}
            card={card}
            rows={items.filter((node) => (!status || node.status === status) && matches(node, q))}
            rowId={({ id }) => id}
            empty={
              items.length === 0 ? (
                <Empty icon={IconServer2} title={t.empty} hint={t.emptyHint} />
              ) : (
                <Empty icon={IconSearch} title={t.nothing} />
              )
            }
          />
        )}
      </Result>
      {draining && (
        <ConfirmDialog
          title={t.drainTitle(draining.id)}
          action={t.drain}
          onClose={() => setDraining(null)}
          onConfirm={async () => {
            await api.POST("/v1/nodes/{node_id}/drain", { params: { path: { node_id: draining.id } } });
            await nodes.refetch();
            sayDone(t.drained(draining.id));
          }}
        >
          {t.drainText(draining.in_flight, others(draining))}
        </ConfirmDialog>
      )}
      {forgetting && (
        <ConfirmDialog
          title={t.forgetTitle(forgetting.id)}
          action={t.forget}
          onClose={() => setForgetting(null)}
          onConfirm={async () => {
            await api.DELETE("/v1/nodes/{node_id}", { params: { path: { node_id: forgetting.id } } });
            await nodes.refetch();
            sayDone(t.forgotten(forgetting.id));
          }}
        >
          {t.forgetText}
        </ConfirmDialog>
      )}
    </Page>
  );
}

function matches(node: Node, q: string): boolean {
  const labels = Object.entries(node.labels).map(([name, value]) => `${name}=${value}`);
  const text = [node.id, node.group, node.url, node.version ?? "", ...labels, ...node.executors].join("\n");
  return text.toLowerCase().includes(q.toLowerCase());
}
