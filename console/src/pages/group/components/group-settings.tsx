import { Button, NumberInput, Switch, TextInput } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { api, type Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { Panel } from "@/ui/page";
import { sayDone, sayProblem } from "@/ui/say";
import { messages } from "../messages";
import classes from "./group-settings.module.css";

/** What a group is called, its share beside others, whether it takes reports, and its end. */
export function GroupSettings({
  group,
  onSaved,
  children,
}: {
  group: Schema<"GroupResource">;
  onSaved: () => void;
  /** Further panels. */
  children: ReactNode;
}) {
  const t = useMessages(messages);
  const navigate = useNavigate();
  const [description, setDescription] = useState(group.description);
  const [weight, setWeight] = useState<number | string>(group.weight);
  const [deleting, setDeleting] = useState(false);
  async function change(body: Partial<Schema<"GroupChange">>) {
    try {
      await api.PATCH("/v1/groups/{group}", { params: { path: { group: group.name } }, body: body as never });
      onSaved();
      sayDone(t.saved);
    } catch (error) {
      sayProblem(error);
    }
  }
  return (
    <div className={classes.columns}>
      <div className={classes.column}>
        <Panel title={t.general}>
          <form
            className={classes.form}
            onSubmit={(event) => {
              event.preventDefault();
              void change({ description, ...(typeof weight === "number" && { weight }) });
            }}
          >
            <TextInput
              label={t.description}
              size="xs"
              value={description}
              onChange={(event) => setDescription(event.currentTarget.value)}
            />
            <NumberInput
              label={t.weight}
              description={t.weightHint}
              size="xs"
              min={0.001}
              max={1000}
              decimalScale={3}
              value={weight}
              onChange={setWeight}
              required
            />
            <Button type="submit" disabled={description === group.description && weight === group.weight}>
              {t.save}
            </Button>
            <Switch
              label={t.enabled}
              size="sm"
              checked={group.enabled}
              onChange={(event) => void change({ enabled: event.currentTarget.checked })}
            />
            <Switch
              label={t.autoCreate}
              size="sm"
              checked={group.auto_create}
              onChange={(event) => void change({ auto_create: event.currentTarget.checked })}
            />
          </form>
        </Panel>
        <Panel title={t.danger}>
          <p className={classes.hint}>{t.dangerText}</p>
          <Button color="red" variant="outline" onClick={() => setDeleting(true)}>
            {t.delete}
          </Button>
        </Panel>
      </div>
      <div className={classes.column}>{children}</div>
      {deleting && (
        <ConfirmDialog
          title={t.deleteTitle(group.name, group.scenes)}
          action={t.delete}
          danger
          typed={group.name}
          onClose={() => setDeleting(false)}
          onConfirm={async () => {
            await api.DELETE("/v1/groups/{group}", { params: { path: { group: group.name } } });
            sayDone(t.deleted(group.name));
            void navigate({ to: "/groups" });
          }}
        >
          {t.dangerText}
        </ConfirmDialog>
      )}
    </div>
  );
}
