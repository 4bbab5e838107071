import { getRouteApi } from "@tanstack/react-router";
import { useMessages } from "@/i18n/language";
import { CopyButton } from "@/ui/copy";
import { Page } from "@/ui/page";
import { Failed, Loading } from "@/ui/states";
import { StatusBadge } from "@/ui/status-badge";
import { Actions } from "./components/actions";
import { AuditPanel } from "./components/audit-panel";
import { CallbacksPanel } from "./components/callbacks-panel";
import { FactsPanel } from "./components/facts-panel";
import { Hero } from "./components/hero";
import { PayloadPanel } from "./components/payload-panel";
import { PolicyPanel } from "./components/policy-panel";
import { Timeline } from "./components/timeline";
import { useTask } from "./hooks/use-task";
import classes from "./index.module.css";
import { messages } from "./messages";

const route = getRouteApi("/tasks/$taskId");

export default function TaskPage() {
  const t = useMessages(messages);
  const { taskId } = route.useParams();
  const { task: query, attempts, revisions, policy, audit, callbacks, set } = useTask(taskId);
  const task = query.data;
  const above = [{ label: t.tasks, link: { to: "/tasks" } as const }];
  if (!task) {
    return (
      <Page title={t.title} above={above}>
        {query.error ? <Failed error={query.error} onRetry={() => void query.refetch()} /> : <Loading rows={10} />}
      </Page>
    );
  }
  return (
    <Page
      title={task.scene}
      above={[
        ...above,
        { label: task.group, link: { to: "/tasks", search: { q: `group:${task.group}` } } },
        { label: task.scene, link: { to: "/tasks", search: { q: `group:${task.group} scene:${task.scene}` } } },
      ]}
      beside={
        <>
          <StatusBadge status={task.status} deadReason={task.dead_reason} />
          <span className={classes.key}>
            <code>{task.business_key ?? `…${task.id.slice(-12)}`}</code>
            <CopyButton text={task.id} label={t.copy.id} />
          </span>
        </>
      }
      actions={<Actions task={task} onChanged={set} />}
    >
      <Hero task={task} attempts={attempts.data} />
      <div className={classes.columns}>
        <div className={classes.main}>
          <Timeline task={task} attempts={attempts} />
          <PolicyPanel query={policy} />
        </div>
        <div className={classes.side}>
          <FactsPanel task={task} />
          <PayloadPanel task={task} revisions={revisions} />
          <CallbacksPanel task={task} query={callbacks} />
          <AuditPanel query={audit} />
        </div>
      </div>
    </Page>
  );
}
