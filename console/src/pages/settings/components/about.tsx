import { IconCheck, IconX } from "@tabler/icons-react";
import { $api } from "@/api/client";
import { formatNumber, useMessages } from "@/i18n/language";
import { Facts, Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { Empty, Result } from "@/ui/states";
import { Badge } from "@/ui/status-badge";
import { Time } from "@/ui/time";
import { messages } from "../messages";
import classes from "./settings.module.css";

/** What runs here, and whether it is well. */
export function About() {
  const t = useMessages(messages);
  const about = $api.useQuery("get", "/v1/about", {}, { refetchInterval: 10_000 });
  const runs = $api.useQuery("get", "/v1/stats/reconciler");
  return (
    <div className={classes.stack}>
      <Panel title="Redrive">
        <Result query={about} rows={5}>
          {(data) => (
            <Facts
              facts={[
                [t.version, data.version],
                [t.database, `PostgreSQL ${data.database_version}`],
                [t.schema, data.schema_revision],
                [
                  t.engine,
                  data.engine === "up" ? (
                    <Badge key="engine" tone="good" icon={IconCheck}>
                      {data.engine_version ?? t.ready}
                    </Badge>
                  ) : (
                    <Badge key="engine" tone="bad" icon={IconX}>
                      {t.away}
                    </Badge>
                  ),
                ],
                [t.queue, `${data.temporal_namespace} / ${data.task_queue}`],
                [t.ui, data.temporal_ui_url && <Away key="ui" to={data.temporal_ui_url} />],
                [t.keyRequired, data.require_api_key ? t.yes : t.no],
                [t.docs, <Away key="docs" to="/docs" />],
              ]}
            />
          )}
        </Result>
      </Panel>
      <Panel flush title={t.reconciler}>
        <Result query={runs} rows={3}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty title={t.noRuns} hint={t.reconcilerHint} />
            ) : (
              <Rows
                label={t.reconciler}
                head={[t.ranAt, t.checked, t.restarted, t.cancelled, t.closed]}
                rows={items.slice(0, 10).map((run) => ({
                  key: run.started_at,
                  cells: [
                    <Time key="at" at={run.started_at} />,
                    formatNumber(run.rows_checked),
                    formatNumber(run.restarted),
                    formatNumber(run.cancelled),
                    formatNumber(run.closed),
                  ],
                }))}
              />
            )
          }
        </Result>
      </Panel>
    </div>
  );
}

function Away({ to }: { to: string }) {
  return (
    <a className={classes.link} href={to} target="_blank" rel="noreferrer">
      {to}
    </a>
  );
}
