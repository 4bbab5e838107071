import type { Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { Panel } from "@/ui/page";
import { Result } from "@/ui/states";
import { Time } from "@/ui/time";
import { messages } from "../messages";
import classes from "./audit-panel.module.css";

/** The API's word for whoever came without a key. */
const ANONYMOUS = "anonymous";

type Page = Schema<"Page_AuditEntryResource_">;

/** Who did what to the task, and why. */
export function AuditPanel({ query }: { query: { data: Page | undefined; error: unknown; refetch: () => unknown } }) {
  const t = useMessages(messages);
  return (
    <Panel title={t.audit}>
      <Result query={query} rows={2}>
        {({ items }) =>
          items.length === 0 ? (
            <p className={classes.none}>{t.noAudit}</p>
          ) : (
            <ul className={classes.list}>
              {items.map((entry) => (
                <li key={entry.id}>
                  <div>
                    <strong>{t.audited[entry.action as keyof typeof t.audited] ?? entry.action}</strong>{" "}
                    {entry.actor !== ANONYMOUS && <span>{entry.actor}</span>}
                    <span className={classes.when}>
                      <Time at={entry.created_at} />
                    </span>
                  </div>
                  {entry.reason && <p>{entry.reason}</p>}
                </li>
              ))}
            </ul>
          )
        }
      </Result>
    </Panel>
  );
}
