import { UnstyledButton } from "@mantine/core";
import { $api } from "@/api/client";
import { formatCompact, useLanguage, useMessages } from "@/i18n/language";
import { STATUSES } from "@/tasks/selection";
import { messages as uiMessages } from "@/ui/messages";
import { STATUS_ICONS } from "@/ui/status-badge";
import { messages } from "../messages";
import classes from "./status-tabs.module.css";

/** Counts by state of the whole namespace; a click filters by one. */
export function StatusTabs({
  chosen,
  onChoose,
}: {
  chosen: readonly string[];
  onChoose: (status: string | null) => void;
}) {
  const t = useMessages(messages);
  const s = useMessages(uiMessages).status;
  const spoken = useLanguage();
  const { data } = $api.useQuery("get", "/v1/stats/tasks", {}, { refetchInterval: 5_000 });
  return (
    <div className={classes.tabs} role="group" aria-label={t.statusFilter}>
      <UnstyledButton className={classes.tab} aria-pressed={chosen.length === 0} onClick={() => onChoose(null)}>
        {t.all} <b>{data ? formatCompact(data.total, spoken) : ""}</b>
      </UnstyledButton>
      {STATUSES.map((status) => {
        const Icon = STATUS_ICONS[status];
        const count = data?.counts[status];
        return (
          <UnstyledButton
            key={status}
            className={classes.tab}
            data-tone={status}
            data-none={count === 0 || undefined}
            aria-pressed={chosen.includes(status)}
            onClick={() => onChoose(chosen.length === 1 && chosen[0] === status ? null : status)}
          >
            <Icon size={14} stroke={2} aria-hidden />
            {s[status]} <b>{count === undefined ? "" : formatCompact(count, spoken)}</b>
          </UnstyledButton>
        );
      })}
    </div>
  );
}
