import { IconAlertTriangle } from "@tabler/icons-react";
import { formatNumber, useLanguage, useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { alikeText } from "@/tasks/error-text";
import type { Action, Preview, Share } from "./form";
import { messages } from "./messages";
import classes from "./redrive-dialog.module.css";

const MOST_SHARES = 5;

/** What it would come to: how many, of which scenes and errors, and how long it takes. */
export function PreviewOf({
  found,
  action,
  keep,
  stale,
}: {
  found: Preview;
  action: Action;
  /** Attempts that were spent count on. */
  keep: boolean;
  /** The options have changed since. */
  stale: boolean;
}) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  if (found.count === 0) return <p className={classes.none}>{t.none[action]}</p>;
  const scenes = found.by_scene.map(({ group, scene, count }): Share => [`${group} / ${scene}`, count]);
  const errors = found.by_error.map(
    (share): Share => [[share.error_type, alikeText(share)].filter(Boolean).join(": ") || t.noError, share.count],
  );
  return (
    <section className={classes.preview} data-stale={stale || undefined} aria-busy={stale} aria-label={t.preview}>
      <div className={classes.figures}>
        <p>
          <b>{t.count(found.count)}</b>
          <span>
            {found.matched > found.count && `${t.limited(found.matched)} `}
            {keep ? t.meansKeep : t.means[action]}
          </span>
        </p>
        <p>
          <b>{found.estimate_seconds === null ? t.years : t.about(formatDuration(found.estimate_seconds, spoken))}</b>
          <span>{found.estimate_seconds === null ? t.yearsText : t.untilLast}</span>
        </p>
      </div>
      <div className={classes.shares}>
        <Shares title={t.byScene} of={scenes} />
        <Shares title={t.byError} of={errors} />
      </div>
      {found.warnings.map((warning) => (
        <p key={warning} className={classes.warning} role="note">
          <IconAlertTriangle size={15} aria-hidden />
          {warning}
        </p>
      ))}
    </section>
  );
}

function Shares({ title, of }: { title: string; of: readonly Share[] }) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  return (
    <div>
      <h3>{title}</h3>
      <ul>
        {of.slice(0, MOST_SHARES).map(([name, count]) => (
          <li key={name}>
            <span title={name}>{name}</span>
            <b>{formatNumber(count, spoken)}</b>
          </li>
        ))}
        {of.length > MOST_SHARES && <li className={classes.quiet}>{t.others(of.length - MOST_SHARES)}</li>}
      </ul>
    </div>
  );
}
