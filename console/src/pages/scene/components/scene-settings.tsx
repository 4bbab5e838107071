import { Button, Switch, TextInput } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import classes from "@/pages/group/components/group-settings.module.css";
import { RestraintsPanel } from "@/restraints/restraints-panel";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { JsonEditor, parseJson } from "@/ui/json";
import { Panel } from "@/ui/page";
import { sayDone, sayProblem } from "@/ui/say";
import { messages } from "../messages";
import { Callbacks } from "./callbacks";

type Scene = Schema<"SceneResource">;

/** Everything of a scene beside its policy. */
export function SceneSettings({ scene, onSaved }: { scene: Scene; onSaved: () => Promise<unknown> }) {
  const t = useMessages(messages);
  const navigate = useNavigate();
  const [description, setDescription] = useState(scene.description);
  const [deleting, setDeleting] = useState(false);
  const params = { path: { group: scene.group, scene: scene.name } };
  async function send(body: Record<string, unknown>) {
    await api.PATCH("/v1/groups/{group}/scenes/{scene}", { params, body: body as never });
    await onSaved();
    sayDone(t.saved);
  }
  async function change(body: Record<string, unknown>) {
    try {
      await send(body);
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
              void change({ description });
            }}
          >
            <TextInput
              label={t.description}
              size="xs"
              value={description}
              onChange={(event) => setDescription(event.currentTarget.value)}
            />
            <Button type="submit" disabled={description === scene.description}>
              {t.save}
            </Button>
            <Switch
              label={t.enabled}
              size="sm"
              checked={scene.enabled}
              onChange={(event) => void change({ enabled: event.currentTarget.checked })}
            />
          </form>
        </Panel>
        <Callbacks saved={scene.callbacks} onSave={(callbacks) => send({ callbacks })} />
        <Document
          title={t.schema}
          hint={t.schemaHint}
          value={scene.payload_schema}
          onSave={(payload_schema) => change({ payload_schema })}
        >
          <Switch
            label={t.schemaOnReport}
            size="sm"
            mt="sm"
            checked={scene.schema_on_report}
            onChange={(event) => void change({ schema_on_report: event.currentTarget.checked })}
          />
        </Document>
      </div>
      <div className={classes.column}>
        <RestraintsPanel of={{ group: scene.group, scene: scene.name }} />
        <Panel title={t.danger}>
          <p className={classes.hint}>{t.dangerText}</p>
          <Button color="red" variant="outline" onClick={() => setDeleting(true)}>
            {t.delete}
          </Button>
        </Panel>
      </div>
      {deleting && (
        <ConfirmDialog
          title={t.deleteTitle(scene.name)}
          action={t.delete}
          danger
          typed={scene.name}
          onClose={() => setDeleting(false)}
          onConfirm={async () => {
            await api.DELETE("/v1/groups/{group}/scenes/{scene}", { params });
            sayDone(t.deleted(scene.name));
            void navigate({ to: "/groups/$group", params: { group: scene.group } });
          }}
        >
          {t.dangerText}
        </ConfirmDialog>
      )}
    </div>
  );
}

function Document({
  title,
  hint,
  value,
  onSave,
  children,
}: {
  title: string;
  hint: string;
  value: unknown;
  onSave: (value: unknown) => Promise<unknown>;
  children?: React.ReactNode;
}) {
  const t = useMessages(messages);
  const saved = JSON.stringify(value, null, 2);
  const [text, setText] = useState(saved);
  const parsed = parseJson(text);
  return (
    <Panel title={title}>
      <p className={classes.hint}>{hint}</p>
      <JsonEditor label={title} hideLabel text={text} rows={14} onChange={setText} />
      <div className={classes.buttons}>
        <Button
          disabled={text === saved || !("value" in parsed)}
          onClick={() => "value" in parsed && void onSave(parsed.value)}
        >
          {t.save}
        </Button>
      </div>
      {children}
    </Panel>
  );
}
