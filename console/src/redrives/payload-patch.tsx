import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { type Selection, selectionQuery } from "@/tasks/selection";
import { JsonEditor, parseJson } from "@/ui/json";
import { JsonDiff } from "@/ui/json-diff";
import { Result } from "@/ui/states";
import type { Form } from "./form";
import { mergePatch } from "./merge-patch";
import { messages } from "./messages";
import classes from "./redrive-dialog.module.css";

const SAMPLES = 20;
const SORTS = { oldest: "created_at", newest: "-created_at", priority: "priority" } as const;

/** The patch of all payloads, and what it does to one of them. */
export function PayloadPatch({
  text,
  onChange,
  error,
  selection,
  order,
}: {
  text: string;
  onChange: (text: string) => void;
  error?: string;
  selection: Selection;
  order: Form["order"];
}) {
  const t = useMessages(messages);
  const [index, setIndex] = useState(0);
  const samples = useQuery({
    queryKey: ["redrive", "samples", selection, order],
    queryFn: async ({ signal }) => {
      // Of many ids the first will do: an address has its bounds.
      const meant = selection.ids
        ? { ids: selection.ids.slice(0, SAMPLES) }
        : { ...selection, status: selection.status ?? ["dead"] };
      const query = { ...selectionQuery(meant), sort: SORTS[order], limit: SAMPLES };
      const { data } = await api.GET("/v1/tasks", { params: { query }, signal });
      return data?.items.map(({ id }) => id) ?? [];
    },
  });
  const ids = samples.data ?? [];
  const id = ids[index % Math.max(1, ids.length)];
  const sample = useQuery({
    queryKey: ["redrive", "sample", id],
    queryFn: async ({ signal }) =>
      (await api.GET("/v1/tasks/{task_id}", { params: { path: { task_id: id ?? "" } }, signal })).data,
    enabled: id !== undefined,
  });
  const patch = parseJson(text);
  return (
    <>
      <JsonEditor rows={12} label={t.patch} description={t.patchHint} text={text} onChange={onChange} error={error} />
      {"value" in patch && id !== undefined && (
        <div>
          <div className={classes.sampleHead}>
            <h3>
              {t.sample}{" "}
              <Link to="/tasks/$taskId" params={{ taskId: id }} target="_blank">
                <code>{sample.data?.business_key ?? `…${id.slice(-8)}`}</code>
              </Link>
            </h3>
            {ids.length > 1 && (
              <Button size="compact-xs" variant="subtle" onClick={() => setIndex(index + 1)}>
                {t.otherSample}
              </Button>
            )}
          </div>
          <Result query={sample} rows={3}>
            {(task) => {
              const before = task && { args: task.args, kwargs: task.kwargs, body: task.body };
              return <JsonDiff label={t.sampleDiff} before={before} after={mergePatch(before, patch.value)} />;
            }}
          </Result>
        </div>
      )}
    </>
  );
}
