import {
  IconAlertTriangle,
  IconCheck,
  IconDatabase,
  IconPlugConnectedX,
  IconRefreshDot,
  IconServer2,
  IconTopologyRing2,
} from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import type { ComponentType, ReactNode } from "react";
import { useMessages } from "@/i18n/language";
import { Time } from "@/ui/time";
import type { Overview } from "../hooks/use-overview";
import { messages } from "../messages";
import classes from "./vitals.module.css";

type Tone = "good" | "warn" | "bad" | "none";

/** Whether what Redrive stands on works: one quiet line while it does. */
export function Vitals({ overview }: { overview: Overview }) {
  const t = useMessages(messages);
  const { health, nodes } = overview;
  const registered = nodes.live + nodes.draining + nodes.lost;
  return (
    <section aria-label={t.health}>
      <ul className={classes.vitals}>
        <Vital icon={IconDatabase} name={t.database} tone="good">
          {t.up}
        </Vital>
        <Vital icon={IconTopologyRing2} name={t.engine} tone={health.engine === "up" ? "good" : "bad"}>
          {health.engine === "up" ? t.up : t.down}
        </Vital>
        <Vital icon={IconRefreshDot} name={t.reconciler} tone={health.reconciler === "ok" ? "good" : "warn"}>
          {t.reconciled[health.reconciler]}
          {health.reconciled_at && (
            <span className={classes.quiet}>
              <Time at={health.reconciled_at} />
            </span>
          )}
          {health.repaired > 0 && <span className={classes.quiet}>{t.repaired(health.repaired)}</span>}
        </Vital>
        <Vital
          icon={IconServer2}
          name={t.nodes}
          tone={nodes.lost > 0 ? "warn" : registered === 0 ? "none" : "good"}
          to="/nodes"
        >
          {registered === 0 ? (
            t.noNodes
          ) : (
            <>
              {nodes.live} {t.live}
              {nodes.draining > 0 && `, ${nodes.draining} ${t.draining}`}
              {nodes.lost > 0 && `, ${nodes.lost} ${t.lost}`}
            </>
          )}
        </Vital>
        <Vital
          icon={IconPlugConnectedX}
          name={t.breakers}
          tone={overview.breakers_open > 0 ? "warn" : "good"}
          to="/groups"
        >
          {overview.breakers_open > 0 ? overview.breakers_open : t.noBreakers}
        </Vital>
      </ul>
      {health.engine === "down" && (
        <p className={classes.banner} role="alert">
          <IconAlertTriangle size={16} aria-hidden /> {t.engineDown}
        </p>
      )}
    </section>
  );
}

function Vital({
  icon: Icon,
  name,
  tone,
  to,
  children,
}: {
  icon: ComponentType<{ size?: number; stroke?: number }>;
  name: string;
  tone: Tone;
  to?: "/nodes" | "/groups";
  children: ReactNode;
}) {
  const Mark = tone === "good" ? IconCheck : tone === "none" ? null : IconAlertTriangle;
  const content = (
    <>
      <Icon size={15} stroke={1.7} />
      <span className={classes.name}>{name}</span>
      <span className={classes.value} data-tone={tone}>
        {Mark && <Mark size={13} stroke={2.2} aria-hidden />}
        {children}
      </span>
    </>
  );
  return (
    <li>
      {to ? (
        <Link to={to} className={classes.vital}>
          {content}
        </Link>
      ) : (
        <div className={classes.vital}>{content}</div>
      )}
    </li>
  );
}
