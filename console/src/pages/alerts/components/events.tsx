import { Button } from "@mantine/core";
import { IconBell, IconBellOff, IconCheck } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api } from "@/api/client";
import { useLive } from "@/api/events";
import { useMessages } from "@/i18n/language";
import { Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { Empty, Result } from "@/ui/states";
import { Badge, StatusBadge } from "@/ui/status-badge";
import { Time } from "@/ui/time";
import { messages } from "../messages";
import classes from "./alerts.module.css";

const LOOKS = {
  firing: ["bad", IconBell],
  recovered: ["good", IconCheck],
  suppressed: ["quiet", IconBellOff],
} as const;

/** What was told and held back, and how each delivery stands. */
export function Events() {
  const t = useMessages(messages);
  const events = useInfiniteQuery({
    queryKey: ["alerts", "events"],
    queryFn: async ({ pageParam }) => {
      const { data } = await api.GET("/v1/alerts/events", { params: { query: { limit: 50, cursor: pageParam } } });
      if (!data) throw new Error("the history of alerts came back empty");
      return data;
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: 10_000,
  });
  useLive(["alerts"], () => void events.refetch());
  return (
    <Panel flush title={t.tabs.events}>
      <Result query={events} rows={6}>
        {({ pages }) =>
          pages[0]?.items.length ? (
            <>
              <Rows
                label={t.tabs.events}
                head={[t.what, t.status, t.deliveries, t.at]}
                rows={pages
                  .flatMap(({ items }) => items)
                  .map((event) => {
                    const [tone, icon] = LOOKS[event.state];
                    const cause = event.cause ? ` · ${t.cause[event.cause]}` : "";
                    return {
                      key: event.id,
                      cells: [
                        `${event.rule_name}: ${event.summary}`,
                        <Badge key="state" tone={tone} icon={icon}>
                          {`${t.state[event.state]}${cause}`}
                        </Badge>,
                        <div key="deliveries" className={classes.buttons}>
                          {event.deliveries.map(({ task_id, status }) => (
                            <Link key={task_id} to="/tasks/$taskId" params={{ taskId: task_id }}>
                              {status ? <StatusBadge status={status} /> : "–"}
                            </Link>
                          ))}
                        </div>,
                        <Time key="at" at={event.created_at} />,
                      ],
                    };
                  })}
              />
              {events.hasNextPage && (
                <Button m="sm" loading={events.isFetchingNextPage} onClick={() => void events.fetchNextPage()}>
                  {t.more}
                </Button>
              )}
            </>
          ) : (
            <Empty icon={IconBell} title={t.noEvents} />
          )
        }
      </Result>
    </Panel>
  );
}
