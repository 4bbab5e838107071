import { Link } from "@tanstack/react-router";
import type { Range } from "@/app/search";
import { formatCompact, useLanguage, useMessages } from "@/i18n/language";
import { Panel } from "@/ui/page";
import { Empty } from "@/ui/states";
import type { Overview } from "../hooks/use-overview";
import { inGroup } from "../links";
import { messages } from "../messages";
import classes from "./bars.module.css";

const MOST = 7;

/** How many attempts it took: whether the first delays are well chosen. */
export function SuccessAfter({ overview, range, group }: { overview: Overview; range: Range; group?: string }) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const all = overview.success_after;
  const total = all.reduce((sum, { count }) => sum + count, 0);
  const most = Math.max(1, ...all.map(({ count }) => count));
  const link = { to: "/tasks", search: { q: inGroup(group, `status:succeeded finished:<${range}`) } } as const;
  return (
    <Panel title={t.successAfter} aside={total > 0 ? <Link {...link}>{formatCompact(total, spoken)}</Link> : null}>
      {total === 0 ? (
        <Empty title={t.nothingSucceeded} />
      ) : (
        <ol className={classes.bars}>
          {all.slice(0, MOST).map(({ attempts, count }) => (
            <li key={attempts}>
              <Link {...link} className={classes.bar}>
                <span>{t.attempts(attempts)}</span>
                <span className={classes.share}>
                  {formatCompact(count, spoken)}
                  <em>{Math.round((count / total) * 100)} %</em>
                </span>
                <span className={classes.track}>
                  <i style={{ width: `${(count / most) * 100}%` }} />
                </span>
              </Link>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}
