import { Button, NumberInput, Switch } from "@mantine/core";
import { useState } from "react";
import { $api, api, type Schema } from "@/api/client";
import { useKept } from "@/app/kept";
import { namespace } from "@/app/session";
import { useMessages } from "@/i18n/language";
import { Panel } from "@/ui/page";
import { sayDone, sayProblem } from "@/ui/say";
import { Result } from "@/ui/states";
import { messages } from "../messages";
import classes from "./settings.module.css";

type Kept = Schema<"RetentionResource">;

/** How long ended tasks and redrives of the namespace are kept. */
export function Retention() {
  const t = useMessages(messages);
  const name = useKept(namespace);
  const params = { path: { name } };
  const retention = $api.useQuery("get", "/v1/namespaces/{name}/retention", { params });
  return (
    <Panel title={t.retention}>
      <p className={classes.hint}>{t.retentionHint}</p>
      <Result query={retention} rows={2}>
        {(saved) => (
          <Form
            key={JSON.stringify(saved)}
            saved={saved}
            onSave={async (body) => {
              try {
                await api.PUT("/v1/namespaces/{name}/retention", { params, body });
                await retention.refetch();
                sayDone(t.saved);
              } catch (error) {
                sayProblem(error);
              }
            }}
          />
        )}
      </Result>
    </Panel>
  );
}

function Form({ saved, onSave }: { saved: Kept; onSave: (retention: Kept) => Promise<void> }) {
  const t = useMessages(messages);
  const [edited, setEdited] = useState(saved);
  const days = (field: "succeeded_days" | "dead_days" | "cancelled_days" | "redrive_days", label: string) => (
    <NumberInput
      label={label}
      size="xs"
      w={140}
      min={1}
      hideControls
      allowNegative={false}
      allowDecimal={false}
      placeholder={t.keep}
      value={edited[field] ?? ""}
      onChange={(value) => setEdited({ ...edited, [field]: value === "" ? null : Number(value) })}
    />
  );
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        void onSave(edited);
      }}
    >
      {days("succeeded_days", t.succeededDays)}
      {days("dead_days", t.deadDays)}
      {days("cancelled_days", t.cancelledDays)}
      {days("redrive_days", t.redriveDays)}
      <Switch
        label={t.archive}
        size="sm"
        checked={edited.archive}
        onChange={(event) => setEdited({ ...edited, archive: event.currentTarget.checked })}
      />
      <Button type="submit" disabled={JSON.stringify(edited) === JSON.stringify(saved)}>
        {t.save}
      </Button>
    </form>
  );
}
