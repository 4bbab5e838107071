import { useQuery } from "@tanstack/react-query";
import { api, type Schema } from "@/api/client";
import { formatNumber, useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { messages as uiMessages } from "@/ui/messages";
import { sayDone } from "@/ui/say";
import { Result } from "@/ui/states";
import type { Status } from "@/ui/status-badge";
import { messages } from "../messages";

const SET = 200;

/** Counts the live tasks that have an older version, and plans their next attempts anew, a set at a time. */
export function ApplyDialog({ scene, onClose }: { scene: Schema<"SceneResource">; onClose: () => void }) {
  const t = useMessages(messages);
  const { status } = useMessages(uiMessages);
  const params = { path: { group: scene.group, scene: scene.name } };
  const count = useQuery({
    queryKey: ["apply policy", scene.group, scene.name, scene.policy_version],
    queryFn: async () =>
      (
        await api.POST("/v1/groups/{group}/scenes/{scene}/policy/apply", {
          params,
          body: { dry_run: true, limit: SET },
        })
      ).data ?? null,
    gcTime: 0,
  });
  async function apply() {
    let changed = 0;
    let cursor: string | null | undefined;
    do {
      const { data } = await api.POST("/v1/groups/{group}/scenes/{scene}/policy/apply", {
        params,
        body: { dry_run: false, limit: SET, cursor },
      });
      changed += data?.changed ?? 0;
      cursor = data?.next_cursor;
    } while (cursor);
    sayDone(t.applied(changed));
  }
  const total = count.data?.total ?? 0;
  return (
    <ConfirmDialog
      title={t.applyTitle(total)}
      action={t.apply}
      disabled={total === 0}
      onConfirm={apply}
      onClose={onClose}
    >
      <Result query={count} rows={2}>
        {(data) =>
          total === 0
            ? t.applyNone
            : t.applyText(
                Object.entries(data?.behind ?? {})
                  .map(([name, tasks]) => `${formatNumber(tasks)} ${status[name as Status].toLowerCase()}`)
                  .join(", "),
              )
        }
      </Result>
    </ConfirmDialog>
  );
}
