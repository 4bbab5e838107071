import { Button, NativeSelect, NumberInput } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay } from "@tabler/icons-react";
import { useState } from "react";
import { api } from "@/api/client";
import { formatNumber, useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { Panel } from "@/ui/page";
import { sayDone } from "@/ui/say";
import { Badge } from "@/ui/status-badge";
import { Time } from "@/ui/time";
import { messages } from "./messages";
import { type Limit, type Pause, pauseOf, type Scope, useRestraints } from "./restraints";
import classes from "./restraints-panel.module.css";

/** What holds the attempts of a group, scene or target back: its pause and its limits, and the ways to change them. */
export function RestraintsPanel({ of }: { of: { group: string; scene?: string } | { target: string } }) {
  const t = useMessages(messages);
  const { pauses, limits, refetch } = useRestraints();
  const [dialog, setDialog] = useState<"pause" | "resume" | "limit" | null>(null);
  const scope = "target" in of ? "target" : of.scene === undefined ? "group" : "scene";
  const key = "target" in of ? of.target : of.scene === undefined ? of.group : `${of.group}/${of.scene}`;
  const pause =
    "target" in of
      ? (pauses.find((found) => found.scope === "target" && found.key === key) ?? pauseOf(pauses))
      : pauseOf(pauses, of.group, of.scene);
  const limit = limits.find((found) => found.scope === scope && found.key === key);
  const close = () => setDialog(null);
  return (
    <Panel title={t.title}>
      <div className={classes.row}>
        <PauseState pause={pause} scope={scope} />
        {pause?.scope === scope ? (
          <Button leftSection={<IconPlayerPlay size={14} />} onClick={() => setDialog("resume")}>
            {t.resume}
          </Button>
        ) : (
          <Button leftSection={<IconPlayerPause size={14} />} onClick={() => setDialog("pause")}>
            {t.pause}
          </Button>
        )}
      </div>
      <div className={classes.row}>
        <LimitState limit={limit} />
        <Button onClick={() => setDialog("limit")}>{t.change}</Button>
      </div>
      {dialog === "pause" && <PauseDialog scope={scope} name={key} onDone={refetch} onClose={close} />}
      {dialog === "resume" && pause && (
        <ConfirmDialog
          title={t.resumeTitle(key)}
          action={t.resume}
          onClose={close}
          onConfirm={async () => {
            await api.DELETE("/v1/pauses/{pause_id}", { params: { path: { pause_id: pause.id } } });
            refetch();
            sayDone(t.resumedDone);
          }}
        >
          {t.resumeText}
        </ConfirmDialog>
      )}
      {dialog === "limit" && <LimitDialog scope={scope} name={key} limit={limit} onDone={refetch} onClose={close} />}
    </Panel>
  );
}

function PauseState({ pause, scope }: { pause: Pause | undefined; scope: Scope }) {
  const t = useMessages(messages);
  if (!pause) {
    return (
      <div className={classes.text}>
        <div>
          <Badge tone="good" icon={IconPlayerPlay}>
            {t.running}
          </Badge>
        </div>
        <span className={classes.quiet}>{t.runsHint}</span>
      </div>
    );
  }
  return (
    <div className={classes.text}>
      <div>
        <Badge tone="warn" icon={IconPlayerPause}>
          {pause.scope === scope ? t.paused : t.inherited(t.scope[pause.scope])}
        </Badge>
      </div>
      {pause.reason && <span>{pause.reason}</span>}
      <span className={classes.quiet}>
        <Time at={pause.created_at} /> {pause.author && t.by(pause.author)} ·{" "}
        {pause.until ? (
          <>
            {t.until} <Time at={pause.until} />
          </>
        ) : (
          t.untilResumed
        )}
      </span>
    </div>
  );
}

function LimitState({ limit }: { limit: Limit | undefined }) {
  const t = useMessages(messages);
  if (!limit) {
    return (
      <div className={classes.text}>
        {t.limits}
        <span className={classes.quiet}>{t.noLimits}</span>
      </div>
    );
  }
  const parts = [
    limit.rate === null ? null : t.perSecond(formatNumber(limit.rate)),
    limit.rate !== null && limit.burst > 1 ? t.burstOf(formatNumber(limit.burst)) : null,
    limit.concurrency === null ? null : t.atATime(formatNumber(limit.concurrency)),
  ].filter((part) => part !== null);
  return (
    <div className={classes.text}>
      {parts.join(" · ")}
      <span className={classes.quiet}>
        {t.limits} · <Time at={limit.updated_at} /> {limit.author && t.by(limit.author)}
        {limit.next_slot_at && (
          <>
            {" "}
            · {t.nextSlot} <Time at={limit.next_slot_at} />
          </>
        )}
      </span>
    </div>
  );
}

/** Asks for how long and why, and pauses. */
export function PauseDialog({
  scope,
  name,
  onDone,
  onClose,
}: {
  scope: Scope;
  name: string;
  onDone: () => void;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const [seconds, setSeconds] = useState("");
  return (
    <ConfirmDialog
      title={t.pauseTitle(name || t.scope[scope])}
      action={t.pause}
      askReason
      onClose={onClose}
      onConfirm={async (reason) => {
        const until = seconds ? new Date(Date.now() + Number(seconds) * 1000).toISOString() : null;
        await api.POST("/v1/pauses", { body: { scope, key: name, reason: reason ?? "", until } });
        onDone();
        sayDone(t.pausedDone);
      }}
    >
      <p>{t.pauseText}</p>
      <NativeSelect
        label={t.pauseFor}
        size="xs"
        mt="sm"
        value={seconds}
        onChange={(event) => setSeconds(event.currentTarget.value)}
        data={[
          { value: "", label: t.forever },
          ...Object.entries(t.durations).map(([value, label]) => ({ value, label })),
        ]}
      />
    </ConfirmDialog>
  );
}

function LimitDialog({
  scope,
  name,
  limit,
  onDone,
  onClose,
}: {
  scope: Limit["scope"];
  name: string;
  limit: Limit | undefined;
  onDone: () => void;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const [rate, setRate] = useState<number | null>(limit?.rate ?? null);
  const [burst, setBurst] = useState(limit?.burst ?? 1);
  const [concurrency, setConcurrency] = useState<number | null>(limit?.concurrency ?? null);
  const none = rate === null && concurrency === null;
  const open = (value: string | number) => (value === "" ? null : Number(value));
  return (
    <ConfirmDialog
      title={t.limitTitle(name)}
      action={none && limit ? t.remove : t.save}
      disabled={none && !limit}
      onClose={onClose}
      onConfirm={async () => {
        const params = { path: { scope, key: name } };
        if (none) await api.DELETE("/v1/limits/{scope}/{key}", { params });
        else await api.PUT("/v1/limits/{scope}/{key}", { params, body: { rate, burst, concurrency } });
        onDone();
        sayDone(t.saved);
      }}
    >
      <p>{t.limitText}</p>
      <div className={classes.fields}>
        <NumberInput
          label={t.rate}
          size="xs"
          mt="sm"
          hideControls
          allowNegative={false}
          placeholder={t.unlimited}
          value={rate ?? ""}
          onChange={(value) => setRate(open(value))}
        />
        <NumberInput
          label={t.burst}
          size="xs"
          mt="sm"
          hideControls
          allowNegative={false}
          allowDecimal={false}
          disabled={rate === null}
          value={burst}
          onChange={(value) => setBurst(Math.max(1, Number(value) || 1))}
        />
        <NumberInput
          label={t.concurrency}
          size="xs"
          mt="sm"
          hideControls
          allowNegative={false}
          allowDecimal={false}
          placeholder={t.unlimited}
          value={concurrency ?? ""}
          onChange={(value) => setConcurrency(open(value))}
        />
      </div>
    </ConfirmDialog>
  );
}
