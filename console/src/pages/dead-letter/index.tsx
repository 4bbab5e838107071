import { Button, Checkbox, Menu } from "@mantine/core";
import {
  IconBellOff,
  IconCheck,
  IconDownload,
  IconMoodHappy,
  IconRefreshDot,
  IconTrash,
  IconTrendingUp,
} from "@tabler/icons-react";
import { getRouteApi, Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { $api, api, requestHeaders, type Schema } from "@/api/client";
import { Problem, problemOf } from "@/api/problem";
import { formatNumber, useMessages } from "@/i18n/language";
import { RedriveDialog } from "@/redrives/redrive-dialog";
import { CodeBlock } from "@/ui/code";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { prettyJson } from "@/ui/json";
import { Facts, Page, Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { sayDone, sayProblem } from "@/ui/say";
import { Sparkline } from "@/ui/sparkline";
import { Empty, Failed, Loading, Result } from "@/ui/states";
import { Badge } from "@/ui/status-badge";
import { Time } from "@/ui/time";
import classes from "./index.module.css";
import { messages } from "./messages";

const route = getRouteApi("/dead-letters/$fingerprint");
const MUTE_MS = 8 * 3_600_000;
const PURGED_AT_ONCE = 10_000;
const MOST_ATTEMPTS = 500;

export default function DeadLetterPage() {
  const t = useMessages(messages);
  const { fingerprint } = route.useParams();
  const [dialog, setDialog] = useState<"redrive" | "purge" | null>(null);
  const params = { path: { fingerprint } };
  const query = $api.useQuery(
    "get",
    "/v1/dead-letters/groups/{fingerprint}",
    { params },
    { refetchInterval: 15_000, retry: false },
  );
  const tasks = $api.useQuery("get", "/v1/dead-letters", { params: { query: { fingerprint, limit: 20 } } });
  const group = query.data;
  const above = [{ label: t.deadLetters, link: { to: "/dead-letters" } as const }];
  if (!group || query.error) {
    return (
      <Page title={t.title} above={above}>
        {!query.error ? (
          <Loading rows={10} />
        ) : Problem.of(query.error).status === 404 ? (
          <Empty icon={IconMoodHappy} title={t.gone} />
        ) : (
          <Failed error={query.error} onRetry={() => void query.refetch()} />
        )}
      </Page>
    );
  }
  const muted = group.muted_until !== null && Date.parse(group.muted_until) > Date.now();
  const selection = { fingerprint, status: ["dead"] };

  async function change(body: Partial<Schema<"DeadLetterGroupChange">>) {
    try {
      await api.PATCH("/v1/dead-letters/groups/{fingerprint}", {
        params,
        body: body as Schema<"DeadLetterGroupChange">,
      });
      await query.refetch();
      sayDone(t.saved);
    } catch (error) {
      sayProblem(error);
    }
  }
  return (
    <Page
      title={group.error_type ?? t.noError}
      above={above}
      lead={t.count(group.count)}
      beside={
        <>
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
        </>
      }
      actions={
        <>
          <Button variant="filled" leftSection={<IconRefreshDot size={15} />} onClick={() => setDialog("redrive")}>
            {t.redrive}
          </Button>
          <Button
            leftSection={<IconCheck size={15} />}
            onClick={() => void change({ acknowledged: !group.acknowledged })}
          >
            {group.acknowledged ? t.takeBack : t.acknowledge}
          </Button>
          <Button
            leftSection={<IconBellOff size={15} />}
            onClick={() => void change({ muted_until: muted ? null : new Date(Date.now() + MUTE_MS).toISOString() })}
          >
            {muted ? t.unmute : t.mute}
          </Button>
          <Menu position="bottom-end">
            <Menu.Target>
              <Button leftSection={<IconDownload size={15} />}>{t.export}</Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item onClick={() => void download(fingerprint, "jsonl")}>{t.exportJsonl}</Menu.Item>
              <Menu.Item onClick={() => void download(fingerprint, "csv")}>{t.exportCsv}</Menu.Item>
            </Menu.Dropdown>
          </Menu>
          <Button variant="subtle" color="red" leftSection={<IconTrash size={15} />} onClick={() => setDialog("purge")}>
            {t.purge}
          </Button>
        </>
      }
    >
      <div className={classes.columns}>
        <div className={classes.stack}>
          {group.sample_task_id && <Sample taskId={group.sample_task_id} message={group.message} />}
          <Panel
            title={t.tasks}
            flush
            aside={
              <Link to="/tasks" search={{ q: `status:dead fingerprint:${fingerprint}` }} className={classes.link}>
                {t.allTasks}
              </Link>
            }
          >
            <Result query={tasks} rows={5}>
              {({ items }) => (
                <Rows
                  label={t.tasks}
                  head={[t.task, t.scene, t.attempts, t.died]}
                  rows={items.map((task) => ({
                    key: task.id,
                    cells: [
                      <Link key="task" to="/tasks/$taskId" params={{ taskId: task.id }}>
                        <code>{task.business_key ?? `…${task.id.slice(-8)}`}</code>
                      </Link>,
                      `${task.group} / ${task.scene}`,
                      `${formatNumber(task.attempts)}/${formatNumber(task.max_attempts)}`,
                      <Time key="died" at={task.finished_at} />,
                    ],
                  }))}
                />
              )}
            </Result>
          </Panel>
        </div>
        <div className={classes.stack}>
          <Panel title={t.trend}>
            <Sparkline values={group.sparkline.counts} width={280} height={56} label={t.trend} />
            <Facts
              facts={[
                [t.first, <Time key="first" at={group.first_seen} />],
                [t.last, <Time key="last" at={group.last_seen} />],
                [t.seenBy, group.acknowledged_by],
                [t.fingerprint, <code key="fingerprint">{group.fingerprint}</code>],
              ]}
            />
          </Panel>
          <Panel title={t.scenes}>
            <ul className={classes.shares}>
              {group.scenes.map(({ group: name, scene, count }) => (
                <li key={`${name}/${scene}`}>
                  <Link to="/groups/$group/scenes/$scene" params={{ group: name, scene }}>
                    {name} / {scene}
                  </Link>
                  <b>{formatNumber(count)}</b>
                </li>
              ))}
            </ul>
          </Panel>
        </div>
      </div>
      {dialog === "redrive" && <RedriveDialog selection={selection} onClose={() => setDialog(null)} />}
      {dialog === "purge" && <PurgeDialog selection={selection} onClose={() => setDialog(null)} />}
    </Page>
  );
}

/** The error of one of them, as its last attempt told it. */
function Sample({ taskId, message }: { taskId: string; message: string | null }) {
  const t = useMessages(messages);
  const path = { task_id: taskId };
  const task = $api.useQuery("get", "/v1/tasks/{task_id}", { params: { path } });
  const attempts = $api.useQuery("get", "/v1/tasks/{task_id}/attempts", {
    params: { path, query: { limit: MOST_ATTEMPTS } },
  });
  const answer = attempts.data?.items.findLast(({ response }) => response)?.response;
  return (
    <Panel
      title={t.sample}
      aside={
        <Link to="/tasks/$taskId" params={{ taskId }} className={classes.link}>
          {t.sampleLink}
        </Link>
      }
    >
      <p className={classes.message}>{task.data?.last_error?.message ?? message}</p>
      {task.data?.last_error?.stack && <CodeBlock label={t.stack}>{task.data.last_error.stack}</CodeBlock>}
      {answer && (
        <>
          <h3 className={classes.subtitle}>{t.answer}</h3>
          <CodeBlock wrap label={t.answer}>
            {prettyJson(answer)}
          </CodeBlock>
        </>
      )}
    </Panel>
  );
}

function PurgeDialog({
  selection,
  onClose,
}: {
  selection: { fingerprint: string; status: string[] };
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const navigate = useNavigate();
  const [archive, setArchive] = useState(false);
  const body = { selection, archive: false, dry_run: true, limit: PURGED_AT_ONCE } as unknown as Schema<"PurgeRequest">;
  const counted = $api.useQuery("post", "/v1/dead-letters/purge", { body });
  const count = counted.data?.count ?? 0;
  return (
    <ConfirmDialog
      title={t.purgeTitle(count)}
      action={t.purge}
      danger
      typed={t.purgeTyped}
      askReason
      disabled={count === 0}
      onClose={onClose}
      onConfirm={async (reason) => {
        const { data } = await api.POST("/v1/dead-letters/purge", {
          body: { ...body, archive, dry_run: false, reason },
        });
        sayDone(t.purged(data?.count ?? 0));
        await navigate({ to: "/dead-letters" });
      }}
    >
      <Result query={counted} rows={2}>
        {(found) => (
          <p>
            {t.purgeText(found.count, found.exact)} {found.count > PURGED_AT_ONCE && t.purgePart(PURGED_AT_ONCE)}
          </p>
        )}
      </Result>
      <Checkbox
        mt="sm"
        label={t.archive}
        checked={archive}
        onChange={(event) => setArchive(event.currentTarget.checked)}
      />
    </ConfirmDialog>
  );
}

async function download(fingerprint: string, format: "jsonl" | "csv"): Promise<void> {
  try {
    const query = new URLSearchParams({ fingerprint, format });
    // A link could not send the key.
    const response = await fetch(`/v1/dead-letters/export?${query}`, { headers: requestHeaders() });
    if (!response.ok) throw await problemOf(response);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = `dead-letters-${fingerprint}.${format}`;
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) {
    sayProblem(error);
  }
}
