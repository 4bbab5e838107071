import { Button, NativeSelect, SegmentedControl } from "@mantine/core";
import { IconBell, IconBellOff, IconCheck, IconClockHour4, IconTrash, IconX } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { $api, api, type Schema } from "@/api/client";
import { useLive } from "@/api/events";
import { formatNumber, useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { Empty, Result } from "@/ui/states";
import { Badge } from "@/ui/status-badge";
import { Time } from "@/ui/time";
import { messages } from "../messages";
import { place } from "../place";
import { STATES } from "../search";
import classes from "./alerts.module.css";

const route = getRouteApi("/alerts");

const LOOKS = {
  firing: ["bad", IconBell],
  recovered: ["good", IconCheck],
  suppressed: ["quiet", IconBellOff],
} as const;

/** What was told and held back, where, to whom, and whether it arrived. */
export function Events() {
  const t = useMessages(messages);
  const { rule, state } = route.useSearch();
  const navigate = route.useNavigate();
  const rules = $api.useQuery("get", "/v1/alerts/rules");
  const channels = $api.useQuery("get", "/v1/alerts/channels");
  const events = useInfiniteQuery({
    queryKey: ["alerts", "events", rule, state],
    queryFn: async ({ pageParam, signal }) => {
      const query = { limit: 50, cursor: pageParam, rule_id: rule, state };
      const { data } = await api.GET("/v1/alerts/events", { params: { query }, signal });
      return data ?? { items: [], next_cursor: null };
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: 10_000,
  });
  useLive(["alerts"], () => void events.refetch());
  const filtered = rule !== undefined || state !== undefined;
  return (
    <Panel
      flush
      title={t.tabs.events}
      aside={
        <div className={classes.filters}>
          <NativeSelect
            aria-label={t.rule}
            size="xs"
            value={rule ?? ""}
            data={[
              { value: "", label: t.anyRule },
              ...(rules.data?.items ?? []).map(({ id, name }) => ({ value: id, label: name })),
            ]}
            onChange={(event) => {
              const chosen = event.currentTarget.value || undefined;
              void navigate({ search: (now) => ({ ...now, rule: chosen }) });
            }}
          />
          <SegmentedControl
            aria-label={t.status}
            value={state ?? ""}
            data={[{ value: "", label: t.anyState }, ...STATES.map((value) => ({ value, label: t.state[value] }))]}
            onChange={(chosen) =>
              void navigate({ search: (now) => ({ ...now, state: STATES.find((value) => value === chosen) }) })
            }
          />
        </div>
      }
    >
      <Result query={events} rows={6}>
        {({ pages }) => {
          const items = pages.flatMap((page) => page.items);
          if (items.length === 0) {
            return filtered ? (
              <Empty icon={IconBell} title={t.nothingMatches} />
            ) : (
              <Empty icon={IconBell} title={t.noEvents} hint={t.noEventsHint} />
            );
          }
          return (
            <Rows
              label={t.tabs.events}
              head={[t.what, t.status, t.told, t.at, ""]}
              rows={items.map((event) => {
                const [tone, icon] = LOOKS[event.state];
                const cause = event.cause ? ` · ${t.cause[event.cause]}` : "";
                return {
                  key: event.id,
                  cells: [
                    <div key="what">
                      {event.state === "recovered"
                        ? t.event[event.event]
                        : t.measured(t.event[event.event], measured(event))}
                      <div className={classes.quiet}>
                        {[place(event.where), event.rule_name].filter(Boolean).join(" · ")}
                      </div>
                    </div>,
                    <Badge key="state" tone={tone} icon={icon}>
                      {`${t.state[event.state]}${cause}`}
                    </Badge>,
                    <div key="told" className={classes.deliveries}>
                      {event.deliveries.map((delivery) => (
                        <Delivery
                          key={delivery.task_id}
                          of={delivery}
                          to={channels.data?.items.find(({ id }) => id === delivery.channel_id)?.name ?? t.goneChannel}
                        />
                      ))}
                      {event.deliveries.length === 0 && <span className={classes.quiet}>{t.nobody}</span>}
                    </div>,
                    <Time key="at" at={event.created_at} />,
                    <Button key="show" size="compact-xs" component={Link} {...linkTo(event.console_path)}>
                      {t.show}
                    </Button>,
                  ],
                };
              })}
            />
          );
        }}
      </Result>
      {events.hasNextPage && (
        <Button m="sm" loading={events.isFetchingNextPage} onClick={() => void events.fetchNextPage()}>
          {t.more}
        </Button>
      )}
    </Panel>
  );
}

/** A value as people say it: a share as per cent, a lag as a duration. */
function measured({ event, value }: Schema<"AlertEventResource">): string {
  if (event === "failure_rate") return `${formatNumber(value * 100)} %`;
  return event === "due_lag" ? formatDuration(value) : formatNumber(value);
}

/** The place in the console that the API names. */
function linkTo(path: string) {
  const { pathname, searchParams } = new URL(path, window.location.origin);
  return { to: pathname as never, search: Object.fromEntries(searchParams) as never };
}

/** Whether a notice has reached a channel; it leads to the task that delivers it. */
function Delivery({
  of: { task_id, status, attempts, error },
  to,
}: {
  of: Schema<"AlertDeliveryResource">;
  to: string;
}) {
  const t = useMessages(messages);
  const arrival =
    status === null
      ? "forgotten"
      : status === "succeeded"
        ? "arrived"
        : status === "dead" || status === "cancelled"
          ? "failed"
          : "under_way";
  const Icon = { arrived: IconCheck, failed: IconX, under_way: IconClockHour4, forgotten: IconTrash }[arrival];
  const said = (
    <>
      <Icon size={13} aria-hidden />
      <span>
        {to}: {t.arrival[arrival]}
        {arrival !== "arrived" && attempts > 0 && `, ${t.attempts(attempts)}`}
        {arrival !== "arrived" && error && <span className={classes.error}>{error}</span>}
      </span>
    </>
  );
  if (arrival === "forgotten") return <span className={classes.delivery}>{said}</span>;
  return (
    <Link className={classes.delivery} data-arrival={arrival} to="/tasks/$taskId" params={{ taskId: task_id }}>
      {said}
    </Link>
  );
}
