import { useMessages } from "@/i18n/language";
import { JsonView } from "@/ui/json";
import { Panel } from "@/ui/page";
import type { Task } from "../hooks/use-task";
import { messages } from "../messages";
import classes from "./payload-panel.module.css";

/** What the call is made with. */
export function PayloadPanel({ task }: { task: Task }) {
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
      </div>
    </Panel>
  );
}
