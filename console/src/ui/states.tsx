import { Button, Skeleton } from "@mantine/core";
import { IconCloudOff, IconMoodEmpty } from "@tabler/icons-react";
import type { ComponentType, ReactNode } from "react";
import { Problem } from "@/api/problem";
import { useMessages } from "@/i18n/language";
import { messages } from "./messages";
import classes from "./states.module.css";

/** Grey rows where a list will be. */
export function Loading({ rows = 6, height = 18 }: { rows?: number; height?: number }) {
  const t = useMessages(messages);
  return (
    <div className={classes.loading} role="status" aria-label={t.loading}>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows without identity
        <Skeleton key={row} height={height} width={`${92 - ((row * 23) % 41)}%`} radius="sm" />
      ))}
    </div>
  );
}

/** There is nothing to show, and why that may be. */
export function Empty({
  icon: Icon = IconMoodEmpty,
  title,
  hint,
  action,
}: {
  icon?: ComponentType<{ size?: number; stroke?: number }>;
  title: ReactNode;
  hint?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className={classes.empty}>
      <span className={classes.emptyIcon}>
        <Icon size={22} stroke={1.6} />
      </span>
      <p className={classes.emptyTitle}>{title}</p>
      {hint && <div className={classes.emptyHint}>{hint}</div>}
      {action && <div className={classes.emptyAction}>{action}</div>}
    </div>
  );
}

/** The server refused or did not answer; says what it said. */
export function Failed({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const t = useMessages(messages);
  const problem = Problem.of(error);
  const gone = problem.status === 0 || problem.status >= 502;
  return (
    <div className={classes.empty} role="alert">
      <span className={classes.emptyIcon} data-bad>
        <IconCloudOff size={22} stroke={1.6} />
      </span>
      <p className={classes.emptyTitle}>{problem.title || (gone ? t.unreachable : t.failed)}</p>
      <div className={classes.emptyHint}>{problem.detail || (gone ? t.unreachableHint : "")}</div>
      {onRetry && (
        <div className={classes.emptyAction}>
          <Button onClick={onRetry}>{t.retry}</Button>
        </div>
      )}
    </div>
  );
}

/** What a query has: rows while it loads, what it was refused with, or its data. */
export function Result<T>({
  query,
  rows,
  children,
}: {
  query: { data: T | undefined; error: unknown; refetch: () => unknown };
  /** How many grey rows stand in for it while it loads. */
  rows?: number;
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <Failed error={query.error} onRetry={() => void query.refetch()} />;
  return <Loading rows={rows} />;
}
