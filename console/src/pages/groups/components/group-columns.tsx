import { type ReactNode, useMemo } from "react";
import type { Schema } from "@/api/client";
import { IntakeBadge } from "@/configuration/intake-badge";
import { formatNumber, useMessages } from "@/i18n/language";
import { type Pause, pauseOf } from "@/restraints/restraints";
import type { Column } from "@/ui/data-table";
import { Time } from "@/ui/time";
import { messages } from "../messages";
import classes from "./groups.module.css";

type Group = Schema<"GroupResource">;

/** How a group is shown as a row, and as a card on a phone. */
export function useGroupColumns(
  nodes: readonly Schema<"NodeResource">[],
  pauses: readonly Pause[],
): { columns: readonly Column<Group>[]; card: (group: Group) => ReactNode } {
  const t = useMessages(messages);
  return useMemo(() => {
    const live = (group: Group) => nodes.filter((node) => node.group === group.name && node.status === "live").length;
    const state = (group: Group) => (
      <IntakeBadge enabled={group.enabled} paused={pauseOf(pauses, group.name) !== undefined} />
    );
    const columns: readonly Column<Group>[] = [
      {
        id: "name",
        header: t.group,
        width: "minmax(180px, 2fr)",
        fixed: true,
        cell: (group) => <span className={classes.name}>{group.name}</span>,
      },
      {
        id: "description",
        header: t.description,
        width: "minmax(160px, 2fr)",
        cell: ({ description }) => <span className={classes.quiet}>{description}</span>,
      },
      { id: "state", header: t.state, width: "160px", cell: state },
      { id: "scenes", header: t.scenes, width: "90px", align: "right", cell: ({ scenes }) => formatNumber(scenes) },
      { id: "nodes", header: t.nodes, width: "90px", align: "right", cell: (group) => formatNumber(live(group)) },
      { id: "created", header: t.created, width: "120px", cell: ({ created_at }) => <Time at={created_at} /> },
    ];
    const card = (group: Group) => (
      <div className={classes.card}>
        <div className={classes.cardHead}>
          <span className={classes.name}>{group.name}</span>
          {state(group)}
        </div>
        <span className={classes.quiet}>{group.description}</span>
        <span className={classes.quiet}>
          {t.sceneCount(group.scenes)} · {t.nodeCount(live(group))}
        </span>
      </div>
    );
    return { columns, card };
  }, [nodes, pauses, t]);
}
