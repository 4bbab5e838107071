import { IconMoodSmile, IconTrendingUp } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import type { Range } from "@/app/search";
import { formatCompact, useLanguage, useMessages } from "@/i18n/language";
import { alikeText } from "@/tasks/error-text";
import { Panel } from "@/ui/page";
import { writeTerm } from "@/ui/query";
import { Empty } from "@/ui/states";
import type { Overview } from "../hooks/use-overview";
import { inGroup } from "../links";
import { messages } from "../messages";
import classes from "./rising-errors.module.css";

const MOST = 5;

/** What tasks die of more often than before, what has grown most first. */
export function RisingErrors({ overview, range, group }: { overview: Overview; range: Range; group?: string }) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const errors = overview.rising_errors.slice(0, MOST);
  return (
    <Panel title={t.rising} aside={<Link to="/dead-letters">{t.all}</Link>} flush>
      {errors.length === 0 ? (
        <Empty icon={IconMoodSmile} title={t.noErrors} />
      ) : (
        <ul className={classes.list}>
          {errors.map((error) => {
            const { fingerprint, error_type: type, count, before } = error;
            const which = fingerprint === "none" ? "" : ` ${writeTerm("fingerprint", fingerprint)}`;
            return (
              <li key={fingerprint}>
                <Link
                  to="/tasks"
                  search={{ q: inGroup(group, `status:dead${which} finished:<${range}`) }}
                  className={classes.error}
                >
                  <span className={classes.text}>
                    <strong>{type ?? t.withoutError}</strong> {alikeText(error)}
                  </span>
                  <b>{formatCompact(count, spoken)}</b>
                  <span className={classes.before} data-new={before === 0 || undefined}>
                    <IconTrendingUp size={13} aria-hidden /> {before === 0 ? t.isNew : t.grewFrom(before)}
                  </span>
                </Link>
              </li>
            );
          })}
        </ul>
      )}
    </Panel>
  );
}
