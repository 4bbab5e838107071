import { type ReactNode, useMemo } from "react";
import { formatNumber, useMessages } from "@/i18n/language";
import type { Column } from "@/ui/data-table";
import { Time } from "@/ui/time";
import { messages } from "../messages";
import { type Breaker, BreakerBadge } from "./breaker-badge";
import classes from "./targets.module.css";

/** How a target is shown as a row, and as a card on a phone. */
export function useTargetColumns(): { columns: readonly Column<Breaker>[]; card: (breaker: Breaker) => ReactNode } {
  const t = useMessages(messages);
  return useMemo(() => {
    const name = ({ key }: Breaker) => <span className={classes.name}>{key.replace(/^\w+:/, "")}</span>;
    const kind = (breaker: Breaker) => <span className={classes.quiet}>{t[breaker.kind]}</span>;
    const failing = ({ failure_rate, count }: Breaker) =>
      count === 0 ? "–" : t.of(formatNumber(Math.round(failure_rate * 100)), count);
    const columns: readonly Column<Breaker>[] = [
      {
        id: "target",
        header: t.target,
        width: "minmax(200px, 2fr)",
        fixed: true,
        cell: (breaker) => (
          <>
            {name(breaker)} {kind(breaker)}
          </>
        ),
      },
      { id: "breaker", header: t.breaker, width: "130px", cell: (breaker) => <BreakerBadge of={breaker} /> },
      { id: "failing", header: t.failing, width: "130px", align: "right", cell: failing },
      {
        id: "parked",
        header: t.parked,
        width: "90px",
        align: "right",
        cell: ({ parked }) => formatNumber(parked),
      },
      {
        id: "budget",
        header: t.budget,
        width: "120px",
        align: "right",
        cell: ({ budget_tokens, budget_capacity }) =>
          `${formatNumber(Math.round((100 * budget_tokens) / budget_capacity))} %`,
      },
      { id: "flow", header: t.flow, width: "minmax(150px, 1fr)", cell: (breaker) => <Flow of={breaker} /> },
      { id: "changed", header: t.changed, width: "110px", align: "right", cell: (b) => <Time at={b.updated_at} /> },
    ];
    const card = (breaker: Breaker) => (
      <div className={classes.card}>
        <div className={classes.head}>
          {name(breaker)}
          <BreakerBadge of={breaker} />
        </div>
        <div className={classes.head}>
          {kind(breaker)}
          <span className={classes.quiet}>
            {t.failing} {failing(breaker)} · {t.parked} {formatNumber(breaker.parked)}
          </span>
        </div>
      </div>
    );
    return { columns, card };
  }, [t]);
}

/** What holds a target's flow back beside its breaker. */
export function Flow({ of: { ramp_rate, pushback_until } }: { of: Breaker }) {
  const t = useMessages(messages);
  if (pushback_until)
    return (
      <span>
        {t.pushback} <Time at={pushback_until} />
      </span>
    );
  if (ramp_rate !== null) return <span>{t.ramp(formatNumber(Number(ramp_rate.toPrecision(2))))}</span>;
  return <span className={classes.quiet}>{t.full}</span>;
}
