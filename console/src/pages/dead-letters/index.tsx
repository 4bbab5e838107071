import { Button, NativeSelect } from "@mantine/core";
import { IconBellOff, IconCheck, IconMoodHappy, IconRefreshDot, IconTrendingUp } from "@tabler/icons-react";
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { api, type Schema } from "@/api/client";
import { formatNumber, useMessages } from "@/i18n/language";
import { RedriveDialog } from "@/redrives/redrive-dialog";
import { alikeText } from "@/tasks/error-text";
import { messages as taskMessages } from "@/tasks/messages";
import { readSelection, selectionQuery, suggestTasks, useSelection, useTaskFields } from "@/tasks/selection";
import { Page, Panel } from "@/ui/page";
import { QueryBar } from "@/ui/query-bar";
import { sayDone, sayProblem } from "@/ui/say";
import { Sparkline } from "@/ui/sparkline";
import { Empty, Result } from "@/ui/states";
import { Badge } from "@/ui/status-badge";
import { Time } from "@/ui/time";
import classes from "./index.module.css";
import { messages } from "./messages";
import { SHOWN, SORTS } from "./search";

type Group = Schema<"DeadLetterGroup">;

const route = getRouteApi("/dead-letters");
const SCENES = 3;

export default function DeadLettersPage() {
  const t = useMessages(messages);
  const p = useMessages(taskMessages);
  const { q = "", sort = "-count", shown } = route.useSearch();
  const navigate = route.useNavigate();
  const [redriving, setRedriving] = useState(false);
  const fields = useTaskFields().filter(({ name }) => name !== "status" && name !== "next");
  const { problem } = useSelection(q, fields);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the fields are the same words in each language
  const selection = useMemo(() => readSelection(q, fields, Date.now()), [q]);
  const narrowed = selectionQuery(selection);
  const groups = useInfiniteQuery({
    queryKey: ["dead-letters", "groups", q, sort, shown],
    queryFn: async ({ pageParam }) => {
      const seen = { open: { acknowledged: false }, acknowledged: { acknowledged: true }, muted: { muted: true } };
      const query = { ...narrowed, ...(shown ? seen[shown] : {}), sort, limit: 30, cursor: pageParam };
      const { data } = await api.GET("/v1/dead-letters/groups", { params: { query } });
      if (!data) throw new Error("the dead letters came back empty");
      return data;
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    enabled: problem === null,
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
  });
  const count = useQuery({
    queryKey: ["dead-letters", "count", q],
    queryFn: async () => (await api.GET("/v1/dead-letters/count", { params: { query: narrowed } })).data,
    enabled: problem === null,
    refetchInterval: 15_000,
  });

  async function acknowledge({ fingerprint }: Group, acknowledged: boolean) {
    try {
      await api.PATCH("/v1/dead-letters/groups/{fingerprint}", {
        params: { path: { fingerprint } },
        body: { acknowledged } as Schema<"DeadLetterGroupChange">,
      });
      await groups.refetch();
      sayDone(acknowledged ? t.acknowledgedDone : t.takenBack);
    } catch (error) {
      sayProblem(error);
    }
  }
  return (
    <Page
      title={t.title}
      lead={count.data ? t.matching(count.data.count, count.data.exact) : " "}
      actions={
        <>
          <NativeSelect
            aria-label={t.shown}
            size="xs"
            value={shown ?? ""}
            onChange={(event) => {
              const chosen = SHOWN.find((value) => value === event.currentTarget.value);
              void navigate({ search: (now) => ({ ...now, shown: chosen }) });
            }}
            data={[{ value: "", label: t.all }, ...SHOWN.map((value) => ({ value, label: t.shownOf[value] }))]}
          />
          <NativeSelect
            aria-label={t.sort}
            size="xs"
            value={sort}
            onChange={(event) => {
              const chosen = SORTS.find((value) => value === event.currentTarget.value);
              void navigate({ search: (now) => ({ ...now, sort: chosen }) });
            }}
            data={SORTS.map((value) => ({ value, label: t.sorts[value] }))}
          />
          <Button
            variant="filled"
            leftSection={<IconRefreshDot size={15} />}
            disabled={!count.data?.count || problem !== null}
            onClick={() => setRedriving(true)}
          >
            {t.redriveAll}
          </Button>
        </>
      }
    >
      <QueryBar
        value={q}
        onChange={(next) => void navigate({ search: (now) => ({ ...now, q: next || undefined }) })}
        fields={fields}
        placeholder={p.deadPlaceholder}
        problem={problem}
        suggest={suggestTasks}
      />
      <Panel flush>
        <Result query={groups} rows={10}>
          {({ pages }) =>
            pages[0]?.items.length ? (
              <>
                {!pages[0].exact && <p className={classes.partly}>{t.partly}</p>}
                <ul className={classes.list} aria-label={t.title}>
                  {pages
                    .flatMap(({ items }) => items)
                    .map((group) => (
                      <Row key={group.fingerprint} group={group} onAcknowledge={acknowledge} />
                    ))}
                </ul>
                {groups.hasNextPage && (
                  <Button m="sm" loading={groups.isFetchingNextPage} onClick={() => void groups.fetchNextPage()}>
                    {t.more}
                  </Button>
                )}
              </>
            ) : (
              <Empty
                icon={IconMoodHappy}
                title={q || shown ? t.noMatch : t.none}
                hint={q || shown ? null : t.noneHint}
              />
            )
          }
        </Result>
      </Panel>
      {redriving && (
        <RedriveDialog selection={{ ...selection, status: ["dead"] }} onClose={() => setRedriving(false)} />
      )}
    </Page>
  );
}

function Row({
  group,
  onAcknowledge,
}: {
  group: Group;
  onAcknowledge: (group: Group, acknowledged: boolean) => Promise<void>;
}) {
  const t = useMessages(messages);
  const muted = group.muted_until !== null && Date.parse(group.muted_until) > Date.now();
  const several = group.scenes.length > 1;
  return (
    <li className={classes.row} data-seen={group.acknowledged || undefined}>
      <div className={classes.what}>
        <div className={classes.name}>
          <Link to="/dead-letters/$fingerprint" params={{ fingerprint: group.fingerprint }}>
            {group.error_type ?? t.noError}
          </Link>
          {group.rising && (
            <Badge tone="bad" icon={IconTrendingUp}>
              {t.rising}
            </Badge>
          )}
          {group.acknowledged && (
            <Badge tone="quiet" icon={IconCheck}>
              {t.acknowledged}
            </Badge>
          )}
          {muted && (
            <Badge tone="quiet" icon={IconBellOff}>
              {t.muted}
            </Badge>
          )}
        </div>
        <div className={classes.message}>{alikeText(group)}</div>
        <div className={classes.where}>
          {group.scenes
            .slice(0, SCENES)
            .map(({ group: name, scene, count }) => `${name} / ${scene}${several ? ` (${formatNumber(count)})` : ""}`)
            .join(" · ")}{" "}
          {group.scenes.length > SCENES && t.moreScenes(group.scenes.length - SCENES)}
        </div>
      </div>
      <Sparkline values={group.sparkline.counts} width={120} height={26} label={t.trend(group.count)} />
      <div className={classes.when}>
        <span>
          {t.last} <Time at={group.last_seen} />
        </span>
        <span>
          {t.first} <Time at={group.first_seen} />
        </span>
      </div>
      <b className={classes.count}>{formatNumber(group.count)}</b>
      <Button size="compact-sm" onClick={() => void onAcknowledge(group, !group.acknowledged)}>
        {group.acknowledged ? t.takeBack : t.acknowledge}
      </Button>
    </li>
  );
}
