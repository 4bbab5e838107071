import { Button } from "@mantine/core";
import { IconHistory } from "@tabler/icons-react";
import { useInfiniteQuery } from "@tanstack/react-query";
import { api } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { Panel } from "@/ui/page";
import { Rows } from "@/ui/rows";
import { Empty, Result } from "@/ui/states";
import { Time } from "@/ui/time";
import { messages } from "../messages";
import { Deed, Facts } from "./audit-entry";
import classes from "./settings.module.css";

/** Who changed what, and why, the newest first. */
export function AuditLog() {
  const t = useMessages(messages);
  const log = useInfiniteQuery({
    queryKey: ["audit"],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await api.GET("/v1/audit", {
        params: { query: { limit: 50, ...(pageParam ? { cursor: pageParam } : {}) } },
        signal,
      });
      return data ?? { items: [], next_cursor: null };
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor,
  });
  return (
    <Panel flush title={t.tabs.audit}>
      <Result query={log} rows={8}>
        {({ pages }) => {
          const entries = pages.flatMap(({ items }) => items);
          if (entries.length === 0) return <Empty icon={IconHistory} title={t.noAudit} />;
          return (
            <Rows
              label={t.tabs.audit}
              head={[t.what, t.who, t.details, t.reason, t.when]}
              rows={entries.map((entry) => ({
                key: String(entry.id),
                cells: [
                  <Deed key="what" of={entry} />,
                  entry.actor === "anonymous" ? t.anonymous : entry.actor,
                  <Facts key="details" of={entry} />,
                  entry.reason,
                  <Time key="when" at={entry.created_at} />,
                ],
              }))}
            />
          );
        }}
      </Result>
      {log.hasNextPage && (
        <div className={classes.more}>
          <Button loading={log.isFetchingNextPage} onClick={() => void log.fetchNextPage()}>
            {t.more}
          </Button>
        </div>
      )}
    </Panel>
  );
}
