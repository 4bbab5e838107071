import { IconConfetti } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import type { Range } from "@/app/search";
import { formatCompact, useLanguage, useMessages } from "@/i18n/language";
import { Panel } from "@/ui/page";
import { writeTerm } from "@/ui/query";
import { Empty } from "@/ui/states";
import type { Overview } from "../hooks/use-overview";
import { messages } from "../messages";
import classes from "./failing-scenes.module.css";

const MOST = 7;

/** Which scenes fail, the worst first. */
export function FailingScenes({ overview, range }: { overview: Overview; range: Range }) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const scenes = overview.failing_scenes.slice(0, MOST);
  return (
    <Panel title={t.failing} flush>
      {scenes.length === 0 ? (
        <Empty icon={IconConfetti} title={t.noneFailing} />
      ) : (
        <table className={classes.table}>
          <thead>
            <tr>
              <th scope="col">{t.scene}</th>
              <th scope="col">{t.failureRate}</th>
              <th scope="col">{t.deadTasks}</th>
            </tr>
          </thead>
          <tbody>
            {scenes.map(({ group, scene, dead, attempts, failed }) => {
              const where = `${writeTerm("group", group)} ${writeTerm("scene", scene)}`;
              const share = attempts > 0 ? failed / attempts : 0;
              return (
                <tr key={`${group}/${scene}`}>
                  <th scope="row">
                    <Link to="/tasks" search={{ q: where }}>
                      <strong>{scene}</strong> <span>{group}</span>
                    </Link>
                  </th>
                  <td>
                    <Link to="/tasks" search={{ q: `${where} updated:<${range}` }} className={classes.rate}>
                      <span className={classes.track}>
                        <i style={{ width: `${share * 100}%` }} />
                      </span>
                      <b>{Math.round(share * 100)} %</b>
                      <span>
                        {formatCompact(failed, spoken)}/{formatCompact(attempts, spoken)}
                      </span>
                    </Link>
                  </td>
                  <td>
                    <Link
                      to="/tasks"
                      search={{ q: `${where} status:dead finished:<${range}` }}
                      data-none={dead === 0 || undefined}
                    >
                      {formatCompact(dead, spoken)}
                    </Link>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </Panel>
  );
}
