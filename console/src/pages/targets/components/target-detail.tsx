import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { $api, api } from "@/api/client";
import { formatNumber, useMessages } from "@/i18n/language";
import { RestraintsPanel } from "@/restraints/restraints-panel";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { Facts, Panel } from "@/ui/page";
import { sayDone } from "@/ui/say";
import { Result } from "@/ui/states";
import { Time } from "@/ui/time";
import { messages } from "../messages";
import { type Breaker, BreakerBadge } from "./breaker-badge";
import { Flow } from "./target-columns";
import classes from "./targets.module.css";

type Action = "open" | "close" | "release";

/** One target in full: its breaker, why it stands where it does, what happened to it, and the ways to overrule it. */
export function TargetDetail({ target, onChanged }: { target: string; onChanged: () => void }) {
  const t = useMessages(messages);
  const [action, setAction] = useState<Action | null>(null);
  const breaker = $api.useQuery(
    "get",
    "/v1/breakers/{key}",
    { params: { path: { key: target } } },
    { refetchInterval: 5_000 },
  );
  return (
    <Result query={breaker} rows={8}>
      {(data) => (
        <div className={classes.detail}>
          <Panel title={t.breaker} aside={<BreakerBadge of={data} />}>
            <Facts
              facts={[
                [t.why, data.why || null],
                [t.openedAt, data.opened_at && <Time key="opened" at={data.opened_at} />],
                [t.openUntil, data.open_until && <Time key="until" at={data.open_until} />],
                [
                  t.heldBy,
                  data.override && (
                    <span key="held">
                      {data.override.author} {data.override.reason && `(${data.override.reason})`},{" "}
                      {data.override.until ? (
                        <>
                          {t.until} <Time at={data.override.until} />
                        </>
                      ) : (
                        t.untilReleased
                      )}
                    </span>
                  ),
                ],
                [t.failing, data.count ? t.of(formatNumber(Math.round(data.failure_rate * 100)), data.count) : null],
                [t.flow, <Flow key="flow" of={data} />],
                [
                  t.tasks,
                  <Link key="tasks" to="/tasks" search={{ q: "status:parked" } as never} className={classes.link}>
                    {formatNumber(data.parked)}
                  </Link>,
                ],
              ]}
            />
            <div className={classes.buttons}>
              {data.override ? (
                <Button onClick={() => setAction("release")}>{t.release}</Button>
              ) : (
                <>
                  <Button onClick={() => setAction("open")}>{t.openIt}</Button>
                  <Button onClick={() => setAction("close")}>{t.closeIt}</Button>
                </>
              )}
            </div>
          </Panel>
          <RestraintsPanel of={{ target }} />
          <Panel title={t.history}>
            {data.history.length === 0 ? (
              <span className={classes.quiet}>{t.noHistory}</span>
            ) : (
              <ol className={classes.history}>
                {data.history.map(({ kind, why, at }) => (
                  <li key={`${at} ${kind}`} data-kind={kind}>
                    {kind in t.events ? t.events[kind as keyof typeof t.events] : kind}{" "}
                    <span className={classes.quiet}>
                      <Time at={at} />
                    </span>
                    {why && <div className={classes.quiet}>{why}</div>}
                  </li>
                ))}
              </ol>
            )}
          </Panel>
          {action && (
            <Overrule
              action={action}
              of={data}
              onDone={() => {
                void breaker.refetch();
                onChanged();
              }}
              onClose={() => setAction(null)}
            />
          )}
        </div>
      )}
    </Result>
  );
}

function Overrule({
  action,
  of,
  onDone,
  onClose,
}: {
  action: Action;
  of: Breaker;
  onDone: () => void;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const name = of.key.replace(/^\w+:/, "");
  const words = {
    open: [t.openTitle(name), t.openText, t.openIt],
    close: [t.closeTitle(name), t.closeText(of.parked), t.closeIt],
    release: [t.releaseTitle(name), t.releaseText, t.release],
  } as const;
  const [title, text, button] = words[action];
  return (
    <ConfirmDialog
      title={title}
      action={button}
      danger={action === "open"}
      askReason
      onClose={onClose}
      onConfirm={async (reason) => {
        const params = { path: { key: of.key } };
        const body = { reason: reason ?? "" };
        if (action === "open") await api.POST("/v1/breakers/{key}/open", { params, body });
        else if (action === "close") await api.POST("/v1/breakers/{key}/close", { params, body });
        else await api.POST("/v1/breakers/{key}/release", { params, body });
        onDone();
        sayDone(t.done);
      }}
    >
      {text}
    </ConfirmDialog>
  );
}
