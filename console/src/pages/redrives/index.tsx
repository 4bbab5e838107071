import { NativeSelect } from "@mantine/core";
import { IconRefreshDot } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { api } from "@/api/client";
import { useLive } from "@/api/events";
import { formatNumber, useMessages } from "@/i18n/language";
import { messages as redriveMessages } from "@/redrives/messages";
import { Progress, type Redrive, RedriveBadge } from "@/redrives/redrive-state";
import { type Column, DataTable } from "@/ui/data-table";
import { Page } from "@/ui/page";
import { Empty, Result } from "@/ui/states";
import { Time } from "@/ui/time";
import classes from "./index.module.css";
import { messages } from "./messages";
import { STATES } from "./search";

const route = getRouteApi("/redrives");

export default function RedrivesPage() {
  const t = useMessages(messages);
  const r = useMessages(redriveMessages);
  const { status } = route.useSearch();
  const navigate = route.useNavigate();
  const list = useInfiniteQuery({
    queryKey: ["redrives", status],
    queryFn: async ({ pageParam }) => {
      const query = { status: status && [status], limit: 50, cursor: pageParam };
      const { data } = await api.GET("/v1/redrives", { params: { query } });
      if (!data) throw new Error("the list of redrives came back empty");
      return data;
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: 5_000,
  });
  useLive(["redrives"], () => void list.refetch());
  const columns: Column<Redrive>[] = [
    { id: "status", header: t.state, width: "150px", cell: ({ status }) => <RedriveBadge status={status} /> },
    {
      id: "operation",
      header: t.operation,
      width: "minmax(180px, 1fr)",
      cell: (redrive) => (
        <Link to="/redrives/$redriveId" params={{ redriveId: redrive.id }}>
          {r.action[redrive.action]} {redrive.group && <span className={classes.quiet}>{redrive.group}</span>}
        </Link>
      ),
    },
    {
      id: "progress",
      header: t.progress,
      width: "minmax(200px, 1.2fr)",
      cell: (redrive) => <Progress of={redrive} />,
    },
    {
      id: "dead",
      header: t.dead,
      width: "90px",
      align: "right",
      cell: ({ counts }) => formatNumber(counts.dead),
    },
    { id: "reason", header: t.reason, width: "minmax(120px, 1fr)", cell: ({ reason }) => reason ?? "–" },
    { id: "author", header: t.author, width: "100px", cell: ({ author }) => author ?? "–" },
    {
      id: "started",
      header: t.started,
      width: "100px",
      align: "right",
      cell: ({ created_at }) => <Time at={created_at} />,
    },
  ];
  return (
    <Page
      title={t.title}
      lead={t.lead}
      filled
      actions={
        <NativeSelect
          aria-label={t.state}
          size="xs"
          value={status ?? ""}
          onChange={(event) =>
            void navigate({ search: { status: STATES.find((state) => state === event.currentTarget.value) } })
          }
          data={[{ value: "", label: t.all }, ...STATES.map((value) => ({ value, label: r.status[value] }))]}
        />
      }
    >
      <Result query={list} rows={8}>
        {({ pages }) => (
          <DataTable
            label={t.title}
            columns={columns}
            rows={pages.flatMap(({ items }) => items)}
            rowId={({ id }) => id}
            link={({ id }) => ({ to: "/redrives/$redriveId", params: { redriveId: id } })}
            more={{
              has: list.hasNextPage,
              loading: list.isFetchingNextPage,
              load: () => void list.fetchNextPage(),
            }}
            card={(redrive) => (
              <div className={classes.card}>
                <div className={classes.between}>
                  <RedriveBadge status={redrive.status} />
                  <span className={classes.quiet}>
                    <Time at={redrive.created_at} />
                  </span>
                </div>
                <Link to="/redrives/$redriveId" params={{ redriveId: redrive.id }}>
                  {r.action[redrive.action]} {redrive.group}
                </Link>
                <Progress of={redrive} />
              </div>
            )}
            empty={
              <Empty
                icon={IconRefreshDot}
                title={t.none}
                hint={t.noneHint}
                action={
                  <Link className={classes.link} to="/dead-letters">
                    {t.toDead}
                  </Link>
                }
              />
            }
          />
        )}
      </Result>
    </Page>
  );
}
