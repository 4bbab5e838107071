import { Button, UnstyledButton } from "@mantine/core";
import { IconChevronRight } from "@tabler/icons-react";
import { useState } from "react";
import { useMessages } from "@/i18n/language";
import { JsonView } from "@/ui/json";
import { JsonDiff } from "@/ui/json-diff";
import { Panel } from "@/ui/page";
import { Failed } from "@/ui/states";
import { Time } from "@/ui/time";
import type { Revision, Task } from "../hooks/use-task";
import { messages } from "../messages";
import classes from "./payload-panel.module.css";

interface Revisions {
  list: readonly Revision[];
  error: unknown;
  refetch: () => unknown;
  /** Loads earlier ones; null when all are there. */
  more: (() => void) | null;
}

/** What the call is made with, and how it became that. */
export function PayloadPanel({ task, revisions }: { task: Task; revisions: Revisions }) {
  const t = useMessages(messages);
  const parts = [
    { label: t.args, value: task.args, there: task.args.length > 0 },
    { label: t.kwargs, value: task.kwargs, there: Object.keys(task.kwargs).length > 0 },
    { label: t.body, value: task.body, there: task.body !== null && task.body !== undefined },
  ].filter(({ there }) => there);
  return (
    <Panel title={t.payload} aside={t.revision(task.payload_revision)}>
      <div className={classes.parts}>
        {parts.map(({ label, value }) => (
          <div key={label}>
            {parts.length > 1 && <h3>{label}</h3>}
            <JsonView value={value} label={label} />
          </div>
        ))}
        {parts.length === 0 && <p className={classes.none}>{t.noPayload}</p>}
        {task.payload_revision > 1 && <History of={revisions} />}
      </div>
    </Panel>
  );
}

/** Who changed it, when and why; each opens to what differs from the one before. */
function History({ of }: { of: Revisions }) {
  const t = useMessages(messages);
  const { list, more } = of;
  return (
    <div>
      <h3>{t.revisions}</h3>
      {of.error !== null && <Failed error={of.error} onRetry={() => void of.refetch()} />}
      <ol className={classes.revisions} aria-label={t.revisions}>
        {list.map((revision, index) => (
          <RevisionItem key={revision.revision} revision={revision} before={list[index + 1]} />
        ))}
      </ol>
      {more && (
        <Button size="compact-xs" variant="subtle" onClick={more}>
          {t.earlierRevisions}
        </Button>
      )}
    </div>
  );
}

function RevisionItem({ revision, before }: { revision: Revision; before: Revision | undefined }) {
  const t = useMessages(messages);
  const [open, setOpen] = useState(false);
  const head = (
    <>
      <strong>{t.revision(revision.revision)}</strong>
      <span className={classes.who}>{revision.revision === 1 ? t.asReported : revision.author}</span>
      <span className={classes.when}>
        <Time at={revision.created_at} />
      </span>
    </>
  );
  return (
    <li>
      {before ? (
        <UnstyledButton className={classes.head} aria-expanded={open} onClick={() => setOpen(!open)}>
          <IconChevronRight size={13} className={classes.chevron} aria-hidden />
          {head}
        </UnstyledButton>
      ) : (
        <div className={classes.head}>
          <span className={classes.chevron} />
          {head}
        </div>
      )}
      {revision.reason && <p className={classes.reason}>{revision.reason}</p>}
      {open && before && (
        <JsonDiff label={t.changeOf(revision.revision)} before={document(before)} after={document(revision)} />
      )}
    </li>
  );
}

const document = ({ args, kwargs, body }: Revision) => ({ args, kwargs, body });
