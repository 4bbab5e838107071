import { Button } from "@mantine/core";
import { useState } from "react";
import type { Schema } from "@/api/client";
import { useLanguage, useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import { Panel } from "@/ui/page";
import { Result } from "@/ui/states";
import { messages } from "../messages";
import classes from "./policy-panel.module.css";

type Effective = Schema<"TaskEffectivePolicy">;

/** Each value in force, and who gave it; those that nobody gave wait behind a button. */
export function PolicyPanel({
  query,
}: {
  query: { data: Effective | undefined; error: unknown; refetch: () => unknown };
}) {
  const t = useMessages(messages);
  const [all, setAll] = useState(false);
  const settings = query.data?.settings ?? [];
  const defaults = settings.filter(({ origin }) => origin === "default").length;
  return (
    <Panel
      title={t.policy}
      aside={
        <>
          {query.data && t.policyVersion(query.data.task_version)}
          {defaults > 0 && (
            <Button size="compact-xs" variant="subtle" onClick={() => setAll(!all)}>
              {all ? t.hideDefaults : t.showDefaults(defaults)}
            </Button>
          )}
        </>
      }
    >
      <Result query={query} rows={4}>
        {(policy) => (
          <table className={classes.policy}>
            <tbody>
              {policy.settings
                .filter(({ origin }) => all || origin !== "default")
                .map(({ path, value, origin }) => (
                  <tr key={path}>
                    <th scope="row">
                      <code>{path}</code>
                    </th>
                    <td>
                      <Setting path={path} value={value} />
                    </td>
                    <td className={classes.origin} data-origin={origin}>
                      {t.origin[origin]}
                    </td>
                  </tr>
                ))}
            </tbody>
          </table>
        )}
      </Result>
    </Panel>
  );
}

function Setting({ path, value }: { path: string; value: unknown }) {
  const spoken = useLanguage();
  const t = useMessages(messages);
  if (value === null) return <span className={classes.off}>{t.off}</span>;
  if (typeof value === "number" && path.endsWith("seconds"))
    return <span title={`${value} s`}>{formatDuration(value, spoken)}</span>;
  if (typeof value === "object") return <code className={classes.json}>{JSON.stringify(value)}</code>;
  return <span>{String(value)}</span>;
}
