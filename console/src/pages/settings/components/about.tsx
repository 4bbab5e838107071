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
  const readiness = $api.useQuery("get", "/readyz", {}, { refetchInterval: 10_000 });
  const runs = $api.useQuery("get", "/v1/stats/reconciler");
  const state = (word: string) =>
    word === "ready" || word === "ok" ? (
      <Badge tone="good" icon={IconCheck}>
        {t.ready}
      </Badge>
    ) : (
      <Badge tone="bad" icon={IconX}>
        {t.away}
      </Badge>
    );
  return (
    <div className={classes.stack}>
      <Panel title="Redrive">
        <Result query={readiness} rows={3}>
          {({ database, engine }) => (
            <Facts
              facts={[
                [t.database, state(database)],
                [t.engine, state(engine)],
                [
                  t.docs,
                  <a key="docs" href="/docs">
                    /docs
                  </a>,
                ],
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
