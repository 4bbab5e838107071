import { Button, Checkbox, FileButton, Menu } from "@mantine/core";
import { IconDownload, IconFileCode, IconUpload } from "@tabler/icons-react";
import { useState } from "react";
import { api, type Schema } from "@/api/client";
import { namespace } from "@/app/session";
import { useMessages } from "@/i18n/language";
import { ConfirmDialog } from "@/ui/confirm-dialog";
import { Differences } from "@/ui/differences";
import { JsonEditor, parseJson } from "@/ui/json";
import { sayDone, sayProblem } from "@/ui/say";
import { Badge } from "@/ui/status-badge";
import { messages } from "../messages";
import classes from "./groups.module.css";

type ConfigChange = Schema<"ConfigChange">;
const TONES = { create: "good", update: "info", delete: "bad" } as const;

/** Takes the whole configuration out as a document, and in again with a preview. */
export function ConfigurationMenu({ onApplied }: { onApplied: () => void }) {
  const t = useMessages(messages);
  const [importing, setImporting] = useState(false);
  return (
    <>
      <Menu position="bottom-end">
        <Menu.Target>
          <Button leftSection={<IconFileCode size={14} />}>{t.configuration}</Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconDownload size={14} />} onClick={() => void download()}>
            {t.export}
          </Menu.Item>
          <Menu.Item leftSection={<IconUpload size={14} />} onClick={() => setImporting(true)}>
            {t.import}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {importing && <ImportDialog onApplied={onApplied} onClose={() => setImporting(false)} />}
    </>
  );
}

async function download(): Promise<void> {
  try {
    const { data } = await api.GET("/v1/config");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: "application/json" }));
    link.download = `redrive-${namespace.get()}.json`;
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) {
    sayProblem(error);
  }
}

function ImportDialog({ onApplied, onClose }: { onApplied: () => void; onClose: () => void }) {
  const t = useMessages(messages);
  const [text, setText] = useState("");
  const [prune, setPrune] = useState(false);
  const [changes, setChanges] = useState<readonly ConfigChange[] | null>(null);
  const parsed = parseJson(text);
  async function put(dryRun: boolean): Promise<readonly ConfigChange[]> {
    if (!("value" in parsed)) return [];
    const { data } = await api.PUT("/v1/config", {
      params: { query: { dry_run: dryRun, prune } },
      body: parsed.value as Schema<"ConfigDocument-Input">,
    });
    return data?.changes ?? [];
  }
  return (
    <ConfirmDialog
      title={t.importTitle}
      size={640}
      action={changes ? t.apply(changes.length) : t.preview}
      danger={changes?.some(({ action }) => action === "delete")}
      disabled={!("value" in parsed) || changes?.length === 0}
      keepOpen={changes === null}
      onClose={onClose}
      onConfirm={async () => {
        if (changes === null) {
          setChanges(await put(true));
          return;
        }
        const applied = await put(false);
        onApplied();
        sayDone(t.applied(applied.length));
      }}
    >
      <p>{t.importText}</p>
      <FileButton
        accept="application/json,.json"
        onChange={(file) =>
          void file?.text().then((content) => {
            setText(content);
            setChanges(null);
          })
        }
      >
        {(props) => (
          <Button {...props} mt="sm" leftSection={<IconUpload size={14} />}>
            {t.chooseFile}
          </Button>
        )}
      </FileButton>
      <JsonEditor
        label={t.document}
        text={text}
        rows={12}
        onChange={(next) => {
          setText(next);
          setChanges(null);
        }}
      />
      <Checkbox
        mt="sm"
        label={t.prune}
        checked={prune}
        onChange={(event) => {
          setPrune(event.currentTarget.checked);
          setChanges(null);
        }}
      />
      {changes?.length === 0 && <p>{t.noChanges}</p>}
      {changes && changes.length > 0 && (
        <div className={classes.changes}>
          {changes.map((change) => (
            <div key={`${change.kind} ${change.name}`} className={classes.change}>
              <div className={classes.changeHead}>
                <Badge tone={TONES[change.action]}>{t.actions[change.action]}</Badge>
                <span>
                  {change.kind} <strong>{change.name}</strong>
                </span>
              </div>
              <Differences of={change.differences} />
            </div>
          ))}
        </div>
      )}
    </ConfirmDialog>
  );
}
