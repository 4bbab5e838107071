import { Drawer } from "@mantine/core";
import { IconTargetArrow } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { api } from "@/api/client";
import { useLive } from "@/api/events";
import { useMessages } from "@/i18n/language";
import { DataTable } from "@/ui/data-table";
import { messages as uiMessages } from "@/ui/messages";
import { Page } from "@/ui/page";
import { Empty, Result } from "@/ui/states";
import { useTargetColumns } from "./components/target-columns";
import { TargetDetail } from "./components/target-detail";
import { messages } from "./messages";

export default function TargetsPage() {
  const t = useMessages(messages);
  const ui = useMessages(uiMessages);
  const { key } = useSearch({ from: "/targets" });
  const navigate = useNavigate({ from: "/targets" });
  const { columns, card } = useTargetColumns();
  const targets = useInfiniteQuery({
    queryKey: ["targets"],
    queryFn: async ({ pageParam, signal }) => {
      const query = { limit: 100, ...(pageParam ? { cursor: pageParam } : {}) };
      const { data } = await api.GET("/v1/breakers", { params: { query }, signal });
      return data ?? { items: [], next_cursor: null };
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: 10_000,
  });
  const refetch = () => void targets.refetch();
  useLive(["breakers"], refetch);
  return (
    <Page title={t.title} lead={t.lead} filled>
      <Result query={targets} rows={8}>
        {({ pages }) => (
          <DataTable
            label={t.title}
            columns={columns}
            card={card}
            rows={pages.flatMap(({ items }) => items)}
            rowId={(breaker) => breaker.key}
            link={(breaker) => ({ to: "/targets", search: { key: breaker.key } })}
            more={{
              has: targets.hasNextPage,
              loading: targets.isFetchingNextPage,
              load: () => void targets.fetchNextPage(),
            }}
            empty={<Empty icon={IconTargetArrow} title={t.empty} hint={t.emptyHint} />}
          />
        )}
      </Result>
      <Drawer
        opened={key !== undefined}
        onClose={() => void navigate({ search: {} })}
        position="right"
        size={520}
        title={key?.replace(/^\w+:/, "")}
        closeButtonProps={{ "aria-label": ui.close }}
      >
        {key && <TargetDetail target={key} onChanged={refetch} />}
      </Drawer>
    </Page>
  );
}
