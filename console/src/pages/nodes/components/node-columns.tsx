import { Button } from "@mantine/core";
import { IconCheck, IconDroplet, IconPlugConnectedX } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import type { Schema } from "@/api/client";
import { formatNumber, useMessages } from "@/i18n/language";
import type { Column } from "@/ui/data-table";
import { Badge } from "@/ui/status-badge";
import { Time } from "@/ui/time";
import { messages } from "../messages";
import classes from "./load-bar.module.css";

export type Node = Schema<"NodeResource">;

const LOOKS = {
  live: { tone: "good", icon: IconCheck },
  draining: { tone: "warn", icon: IconDroplet },
  lost: { tone: "bad", icon: IconPlugConnectedX },
} as const;

/** How a node is shown as a row, and as a card on a phone. */
export function useNodeColumns(
  onDrain: (node: Node) => void,
  onForget: (node: Node) => void,
): { columns: readonly Column<Node>[]; card: (node: Node) => ReactNode } {
  const t = useMessages(messages);
  return useMemo(() => {
    const state = ({ status }: Node) => (
      <Badge tone={LOOKS[status].tone} icon={LOOKS[status].icon}>
        {t.status[status]}
      </Badge>
    );
    const group = (node: Node) => (
      <Link to="/groups/$group" params={{ group: node.group }}>
        {node.group}
      </Link>
    );
    const button = (node: Node) =>
      node.status === "live" ? (
        <Button size="compact-xs" onClick={() => onDrain(node)}>
          {t.drain}
        </Button>
      ) : node.status === "lost" ? (
        <Button size="compact-xs" onClick={() => onForget(node)}>
          {t.forget}
        </Button>
      ) : null;
    // Together no wider than a page on a screen of 1280 px.
    const columns: readonly Column<Node>[] = [
      {
        id: "node",
        header: t.node,
        width: "minmax(120px, 1.3fr)",
        fixed: true,
        cell: (node) => (
          <span className={classes.name} title={node.url}>
            {node.id}
          </span>
        ),
      },
      { id: "group", header: t.group, width: "minmax(80px, 1fr)", cell: group },
      { id: "state", header: t.state, width: "104px", cell: state },
      { id: "load", header: t.load, width: "162px", cell: (node) => <Load node={node} /> },
      { id: "version", header: t.version, width: "76px", cell: ({ version }) => version ?? "–" },
      { id: "labels", header: t.labels, width: "minmax(120px, 1.6fr)", cell: (node) => <Labels node={node} /> },
      {
        id: "executors",
        header: t.executors,
        width: "86px",
        align: "right",
        cell: ({ executors }) => <span title={executors.join("\n")}>{formatNumber(executors.length)}</span>,
      },
      { id: "heartbeat", header: t.heartbeat, width: "84px", cell: (node) => <Time at={node.last_heartbeat_at} /> },
      { id: "registered", header: t.registered, width: "88px", cell: (node) => <Time at={node.registered_at} /> },
      { id: "buttons", header: "", width: "78px", align: "right", fixed: true, cell: button },
    ];
    const card = (node: Node) => (
      <div className={classes.card}>
        <div className={classes.head}>
          <span className={classes.name}>{node.id}</span>
          {state(node)}
        </div>
        <div className={classes.head}>
          <span className={classes.quiet}>
            {node.group} · <Time at={node.last_heartbeat_at} />
          </span>
          {button(node)}
        </div>
        <Load node={node} />
      </div>
    );
    return { columns, card };
  }, [t, onDrain, onForget]);
}

function Load({ node: { in_flight, capacity } }: { node: Node }) {
  const t = useMessages(messages);
  const share = capacity ? Math.min(1, in_flight / capacity) : 0;
  return (
    <span className={classes.load}>
      {capacity !== null && (
        <span className={classes.bar} aria-hidden>
          <i style={{ width: `${share * 100}%` }} data-full={share >= 0.9 || undefined} />
        </span>
      )}
      {t.loadOf(in_flight, capacity)}
    </span>
  );
}

function Labels({ node: { labels } }: { node: Node }) {
  const written = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return (
    <span className={classes.labels} title={written.join("\n")}>
      {written.map((label) => (
        <span key={label} className={classes.label}>
          {label}
        </span>
      ))}
    </span>
  );
}
