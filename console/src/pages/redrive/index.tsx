import { Button, NumberInput, UnstyledButton } from "@mantine/core";
import { IconExternalLink, IconGauge, IconPlayerPause, IconPlayerPlay, IconPlayerStop } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { $api, api, type Schema } from "@/api/client";
import { useLive } from "@/api/events";
import { formatNumber, useLanguage, useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { messages as redriveMessages } from "@/redrives/messages";
import { isOpen, Progress, type Redrive, RedriveBadge } from "@/redrives/redrive-state";
import { type Selection, writeSelection } from "@/tasks/selection";
import { targetText } from "@/tasks/target";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { JsonView } from "@/ui/json";
import { Facts, Page, Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { sayDone } from "@/ui/say";
import { Empty, Failed, Loading, Result } from "@/ui/states";
import { Badge } from "@/ui/status-badge";
import { Time } from "@/ui/time";
import classes from "./index.module.css";
import { messages } from "./messages";
import { OUTCOMES } from "./search";

const route = getRouteApi("/redrives/$redriveId");
const TONES = {
  waiting: "wait",
  started: "info",
  succeeded: "good",
  dead: "bad",
  skipped: "quiet",
  failed: "warn",
} as const;
const PAGE = 50;
type Dialog = "pause" | "resume" | "abort" | "change";

export default function RedrivePage() {
  const t = useMessages(messages);
  const r = useMessages(redriveMessages);
  const { redriveId } = route.useParams();
  const [dialog, setDialog] = useState<Dialog | null>(null);
  const path = { params: { path: { redrive_id: redriveId } } };
  const query = $api.useQuery("get", "/v1/redrives/{redrive_id}", path, {
    refetchInterval: ({ state }) => (state.data && isOpen(state.data) ? 2_000 : 30_000),
  });
  useLive(["redrives"], () => void query.refetch());
  const above = [{ label: t.redrives, link: { to: "/redrives" } as const }];
  const redrive = query.data;
  if (!redrive) {
    return (
      <Page title={t.title} above={above}>
        {query.error ? <Failed error={query.error} onRetry={() => void query.refetch()} /> : <Loading rows={8} />}
      </Page>
    );
  }
  const { counts, options } = redrive;
  const open = isOpen(redrive);
  return (
    <Page
      title={`${r.action[redrive.action]} ${redrive.group ?? ""}`}
      above={above}
      beside={<RedriveBadge status={redrive.status} />}
      actions={
        open && (
          <>
            <Button leftSection={<IconGauge size={15} />} onClick={() => setDialog("change")}>
              {t.change}
            </Button>
            {redrive.status === "paused" ? (
              <Button variant="filled" leftSection={<IconPlayerPlay size={15} />} onClick={() => setDialog("resume")}>
                {t.resume}
              </Button>
            ) : (
              <Button leftSection={<IconPlayerPause size={15} />} onClick={() => setDialog("pause")}>
                {t.pause}
              </Button>
            )}
            <Button color="red" leftSection={<IconPlayerStop size={15} />} onClick={() => setDialog("abort")}>
              {t.abort}
            </Button>
          </>
        )
      }
    >
      <Panel>
        <div className={classes.hero}>
          <div className={classes.line}>
            <b>{t.done(counts.done, counts.total)}</b>
            {open && <span>{t.rateNow(redrive.rate_now)}</span>}
            {redrive.estimate_finished_at && (
              <span>
                {t.ends} <Time at={redrive.estimate_finished_at} />
              </span>
            )}
          </div>
          <Progress of={redrive} high />
          {redrive.why && <p className={classes.why}>{redrive.why}</p>}
        </div>
      </Panel>
      <div className={classes.columns}>
        <Items redrive={redrive} />
        <Panel title={t.facts}>
          <Terms redrive={redrive} />
        </Panel>
      </div>
      {dialog && dialog !== "change" && (
        <ConfirmDialog
          title={
            {
              pause: t.pauseTitle(counts.waiting),
              resume: t.resumeTitle(counts.waiting),
              abort: t.abortTitle(counts.waiting),
            }[dialog]
          }
          action={t[dialog]}
          danger={dialog === "abort"}
          askReason
          onClose={() => setDialog(null)}
          onConfirm={async (reason) => {
            const request = { ...path, body: { reason } };
            if (dialog === "pause") await api.POST("/v1/redrives/{redrive_id}/pause", request);
            else if (dialog === "resume") await api.POST("/v1/redrives/{redrive_id}/resume", request);
            else await api.POST("/v1/redrives/{redrive_id}/abort", request);
            await query.refetch();
            sayDone({ pause: t.paused, resume: t.resumed, abort: t.aborted }[dialog]);
          }}
        >
          {
            {
              pause: t.pauseText(counts.in_flight),
              resume: t.resumeText(options.rate_per_second),
              abort: t.abortText(counts.waiting, counts.in_flight),
            }[dialog]
          }
        </ConfirmDialog>
      )}
      {dialog === "change" && (
        <ChangeRate redrive={redrive} onDone={() => query.refetch()} onClose={() => setDialog(null)} />
      )}
    </Page>
  );
}

function ChangeRate({
  redrive,
  onDone,
  onClose,
}: {
  redrive: Redrive;
  onDone: () => Promise<unknown>;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const [rate, setRate] = useState<number | string>(redrive.options.rate_per_second);
  const [concurrency, setConcurrency] = useState<number | string>(redrive.options.concurrency);
  return (
    <ConfirmDialog
      title={t.changeTitle}
      action={t.change}
      askReason
      disabled={rate === "" || concurrency === ""}
      onClose={onClose}
      onConfirm={async (reason) => {
        await api.PATCH("/v1/redrives/{redrive_id}", {
          params: { path: { redrive_id: redrive.id } },
          body: { rate_per_second: Number(rate), concurrency: Number(concurrency), reason },
        });
        await onDone();
        sayDone(t.changed);
      }}
    >
      <p>{t.changeText(redrive.counts.waiting)}</p>
      <NumberInput label={t.rate} size="xs" mt="sm" min={0.001} max={1000} value={rate} onChange={setRate} />
      <NumberInput
        label={t.concurrency}
        size="xs"
        mt="sm"
        min={1}
        max={10_000}
        allowDecimal={false}
        value={concurrency}
        onChange={setConcurrency}
      />
    </ConfirmDialog>
  );
}

/** Its tasks by what became of them. */
function Items({ redrive }: { redrive: Redrive }) {
  const t = useMessages(messages);
  const r = useMessages(redriveMessages);
  const { outcome } = route.useSearch();
  const navigate = route.useNavigate();
  const items = useInfiniteQuery({
    queryKey: ["redrive", redrive.id, "items", outcome],
    queryFn: async ({ pageParam }) => {
      const query = { outcome: outcome && [outcome], limit: PAGE, cursor: pageParam };
      const { data } = await api.GET("/v1/redrives/{redrive_id}/items", {
        params: { path: { redrive_id: redrive.id }, query },
      });
      if (!data) throw new Error("the tasks of the redrive came back empty");
      return { ...data, names: await namesOf(data.items.map(({ task_id }) => task_id)) };
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const { refetch } = items;
  const moved = JSON.stringify(redrive.counts);
  // biome-ignore lint/correctness/useExhaustiveDependencies: other counts mean other outcomes
  useEffect(() => void refetch(), [moved, refetch]);
  const counts = { ...redrive.counts, started: redrive.counts.in_flight };
  return (
    <Panel title={t.outcomes} flush>
      <div className={classes.tabs} role="group" aria-label={t.outcomes}>
        {OUTCOMES.map((value) => (
          <UnstyledButton
            key={value}
            className={classes.tab}
            aria-pressed={outcome === value}
            onClick={() => void navigate({ search: { outcome: outcome === value ? undefined : value }, replace: true })}
          >
            {r.outcome[value]} <b>{formatNumber(counts[value])}</b>
          </UnstyledButton>
        ))}
      </div>
      <Result query={items} rows={5}>
        {({ pages }) =>
          pages[0]?.items.length ? (
            <>
              <Rows
                label={t.tasks}
                head={[t.task, t.outcome, t.why, t.endedAt]}
                rows={pages.flatMap((page) =>
                  page.items.map((item) => ({
                    key: item.task_id,
                    cells: [
                      <Link key="task" to="/tasks/$taskId" params={{ taskId: item.task_id }}>
                        <code>{page.names.get(item.task_id) ?? `…${item.task_id.slice(-8)}`}</code>
                      </Link>,
                      <Badge key="outcome" tone={TONES[item.outcome]}>
                        {r.outcome[item.outcome]}
                      </Badge>,
                      item.why,
                      <Time key="ended" at={item.finished_at} />,
                    ],
                  })),
                )}
              />
              {items.hasNextPage && (
                <Button m="sm" onClick={() => void items.fetchNextPage()} loading={items.isFetchingNextPage}>
                  +50
                </Button>
              )}
            </>
          ) : (
            <Empty title={t.noItems} />
          )
        }
      </Result>
    </Panel>
  );
}

/** What people call the tasks: their business keys, as far as they have some. */
async function namesOf(ids: string[]): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const { data } = await api.GET("/v1/tasks", { params: { query: { ids, limit: PAGE } } });
  return new Map(data?.items.flatMap(({ id, business_key }) => (business_key ? [[id, business_key]] : [])));
}

/** Whose it is, which tasks it means, how fast it goes and what it changes of each. */
function Terms({ redrive }: { redrive: Redrive }) {
  const t = useMessages(messages);
  const r = useMessages(redriveMessages);
  const spoken = useLanguage();
  const { options } = redrive;
  const stop = options.stop as Schema<"StopRule"> | null;
  const ramp = options.ramp as Schema<"RampRule"> | null;
  const hours = options.window as Schema<"Hours"> | null;
  const replay = redrive.action === "replay";
  return (
    <>
      <Facts
        facts={[
          [t.selection, <Meant key="selection" of={redrive} />],
          [t.reason, redrive.reason],
          [t.author, redrive.author],
          [t.began, <Time key="began" at={redrive.started_at ?? redrive.created_at} />],
          [t.ended, redrive.finished_at && <Time key="ended" at={redrive.finished_at} />],
          [t.rate, formatNumber(options.rate_per_second, spoken)],
          [
            t.ramp,
            ramp
              ? t.rampText(
                  Math.round((ramp.first_share ?? 0) * 100),
                  ramp.first_per_second ?? 0,
                  formatDuration(ramp.doubling_seconds ?? 0, spoken),
                )
              : t.fullRate,
          ],
          [t.concurrency, formatNumber(options.concurrency, spoken)],
          ...(hours ? [[t.hours, hoursText(hours)] as const] : []),
          ...(options.max_items === null ? [] : [[t.maxItems, formatNumber(options.max_items, spoken)] as const]),
          [t.order, r.orders[options.order]],
          ...(replay
            ? [
                [t.stop, stop ? t.stopText(Math.round((stop.ratio ?? 0) * 100), stop.minimum ?? 0) : t.never] as const,
                [t.counters, r.countersOf[options.counters]] as const,
              ]
            : []),
          ...(options.target
            ? [[t.target, <code key="target">{targetText({ target: options.target, executor: null })}</code>] as const]
            : []),
          [
            t.workflow,
            redrive.temporal_url && (
              <a key="workflow" className={classes.link} href={redrive.temporal_url} target="_blank" rel="noreferrer">
                {t.openWorkflow} <IconExternalLink size={13} aria-hidden />
              </a>
            ),
          ],
        ]}
      />
      {options.policy && (
        <div className={classes.document}>
          <h3>{t.policy}</h3>
          <JsonView value={options.policy} label={t.policy} />
        </div>
      )}
      {options.payload_patch && (
        <div className={classes.document}>
          <h3>{t.patch}</h3>
          <JsonView value={options.payload_patch} label={t.patch} />
        </div>
      )}
    </>
  );
}

/** The tasks that it means, as the filter that finds them. */
function Meant({ of }: { of: Redrive }) {
  const t = useMessages(messages);
  const selection = of.selection as Selection;
  if (selection.ids?.length) return t.chosen(selection.ids.length);
  const q = writeSelection(selection);
  return (
    <Link className={classes.link} to="/tasks" search={{ q }}>
      <code>{q}</code>
    </Link>
  );
}

function hoursText({ start, end, timezone, days }: Schema<"Hours">): string {
  return [`${start}–${end} ${timezone ?? "UTC"}`, ...(days?.length ? [days.join(", ")] : [])].join(", ");
}
