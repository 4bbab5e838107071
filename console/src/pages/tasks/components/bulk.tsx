import { ActionIcon, Button, Menu, NumberInput } from "@mantine/core";
import {
  IconAlertTriangle,
  IconDots,
  IconPlayerPause,
  IconPlayerPlay,
  IconRefresh,
  IconTrash,
  IconX,
} from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { formatNumber, useLanguage, useMessages } from "@/i18n/language";
import { formatDuration } from "@/i18n/time";
import type { Selection } from "@/tasks/selection";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { sayDone } from "@/ui/say";
import { Failed, Loading } from "@/ui/states";
import { messages } from "../messages";
import classes from "./bulk.module.css";

type Action = "retry" | "replay" | "pause" | "resume" | "cancel" | "delete";

const RATE = 10;
const MOST_SHARES = 4;

/** What can be done with many tasks at once. Each choice counts first, and becomes a redrive that can be paused. */
export function BulkButtons({ selection, onDone }: { selection: Selection; onDone: () => void }) {
  const t = useMessages(messages).action;
  const [action, setAction] = useState<Action | null>(null);
  return (
    <>
      <Button leftSection={<IconPlayerPlay size={14} />} onClick={() => setAction("retry")}>
        {t.retry}
      </Button>
      <Button leftSection={<IconRefresh size={14} />} onClick={() => setAction("replay")}>
        {t.replay}
      </Button>
      <Button leftSection={<IconPlayerPause size={14} />} onClick={() => setAction("pause")}>
        {t.pause}
      </Button>
      <Menu position="top-end">
        <Menu.Target>
          <ActionIcon variant="default" size={30} aria-label={t.more}>
            <IconDots size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconPlayerPlay size={15} />} onClick={() => setAction("resume")}>
            {t.resume}
          </Menu.Item>
          <Menu.Item color="red" leftSection={<IconX size={15} />} onClick={() => setAction("cancel")}>
            {t.cancel}
          </Menu.Item>
          <Menu.Item color="red" leftSection={<IconTrash size={15} />} onClick={() => setAction("delete")}>
            {t.delete}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {action && <BulkDialog action={action} selection={selection} onDone={onDone} onClose={() => setAction(null)} />}
    </>
  );
}

function BulkDialog({
  action,
  selection,
  onDone,
  onClose,
}: {
  action: Action;
  selection: Selection;
  onDone: () => void;
  onClose: () => void;
}) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  const navigate = useNavigate();
  const [rate, setRate] = useState<number>(RATE);
  // Tasks that are reported while the dialog is open were not seen by whoever marked all.
  const [opened] = useState(() => new Date().toISOString());
  const meant = selection.ids ? selection : { ...selection, created_before: selection.created_before ?? opened };
  const request = { action, selection: meant, rate_per_second: rate } as unknown as Schema<"RedriveRequest">;
  const preview = useQuery({
    queryKey: ["redrive preview", request],
    queryFn: async () => {
      const { data } = await api.POST("/v1/redrives", { body: { ...request, dry_run: true } });
      return data as unknown as Schema<"RedrivePreview">;
    },
    placeholderData: keepPreviousData,
    gcTime: 0,
  });
  const found = preview.data;

  async function confirm(reason: string | null) {
    const { data } = await api.POST("/v1/redrives", { body: { ...request, reason } });
    onDone();
    sayDone(t.started(found?.count ?? 0));
    const redrive = data as unknown as Schema<"RedriveResource">;
    await navigate({ to: "/redrives/$redriveId", params: { redriveId: redrive.id } });
  }
  return (
    <ConfirmDialog
      title={found ? t.confirm[action](found.count) : t.action[action]}
      action={found ? t.confirm[action](found.count) : t.action[action]}
      danger={action === "cancel" || action === "delete"}
      askReason
      size={560}
      disabled={!found || found.count === 0 || preview.isFetching}
      onConfirm={confirm}
      onClose={onClose}
    >
      <p>{t.means[action]}</p>
      {preview.error && <Failed error={preview.error} onRetry={() => void preview.refetch()} />}
      {!found && !preview.error && <Loading rows={3} />}
      {found && found.count === 0 && <p className={classes.none}>{t.nothingFits(t.action[action])}</p>}
      {found && found.count > 0 && (
        <div className={classes.preview}>
          <div className={classes.shares}>
            <Shares
              title={t.scenes}
              shares={found.by_scene.map(({ group, scene, count }) => [`${group} / ${scene}`, count] as const)}
            />
            <Shares
              title={t.errors}
              shares={found.by_error.map(
                ({ error_type: type, message, count }) => [`${type ?? "–"} ${message ?? ""}`, count] as const,
              )}
            />
          </div>
          <div className={classes.rate}>
            <NumberInput
              label={t.rate}
              size="xs"
              min={0.1}
              max={1000}
              value={rate}
              onChange={(value) => setRate(typeof value === "number" && value > 0 ? value : RATE)}
            />
            {found.estimate_seconds !== null && <span>{t.takes(formatDuration(found.estimate_seconds, spoken))}</span>}
          </div>
          {found.warnings.map((warning) => (
            <p key={warning} className={classes.warning}>
              <IconAlertTriangle size={14} aria-hidden /> {warning}
            </p>
          ))}
        </div>
      )}
    </ConfirmDialog>
  );
}

function Shares({ title, shares }: { title: string; shares: readonly (readonly [name: string, count: number])[] }) {
  const t = useMessages(messages);
  const spoken = useLanguage();
  if (shares.length === 0) return null;
  return (
    <section>
      <h3>{title}</h3>
      <ul>
        {shares.slice(0, MOST_SHARES).map(([name, count]) => (
          <li key={name}>
            <span title={name}>{name}</span>
            <b>{formatNumber(count, spoken)}</b>
          </li>
        ))}
        {shares.length > MOST_SHARES && <li>{t.others(shares.length - MOST_SHARES)}</li>}
      </ul>
    </section>
  );
}
