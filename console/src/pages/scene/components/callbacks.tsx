import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useState } from "react";
import { Problem } from "@/api/problem";
import { useMessages } from "@/i18n/language";
import groupClasses from "@/pages/group/components/group-settings.module.css";
import { HeaderList, type HeaderPairs, headersOf } from "@/ui/header-list";
import { Panel } from "@/ui/page";
import { sayProblem } from "@/ui/say";
import { messages } from "../messages";
import classes from "./callbacks.module.css";

const ENDS = ["on_success", "on_dead", "on_cancelled"] as const;
const KINDS = ["nobody", "executor", "webhook"] as const;

type Documents = Readonly<Record<string, unknown>>;

/** Who is told of one kind of end, as a person types it. */
interface Told {
  kind: (typeof KINDS)[number];
  executor: string;
  url: string;
  headers: HeaderPairs;
}

function toldOf(document: unknown): Told {
  const nobody: Told = { kind: "nobody", executor: "", url: "", headers: [] };
  if (typeof document === "string") return { ...nobody, kind: "executor", executor: document };
  if (typeof document !== "object" || document === null) return nobody;
  const { url, headers } = document as { url?: string; headers?: Record<string, string> };
  return { ...nobody, kind: "webhook", url: url ?? "", headers: Object.entries(headers ?? {}) };
}

/** Who is told how the tasks of a scene end. */
export function Callbacks({ saved, onSave }: { saved: Documents; onSave: (callbacks: Documents) => Promise<unknown> }) {
  const t = useMessages(messages);
  const [typed, setTyped] = useState<Readonly<Record<string, Told>>>({});
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<Readonly<Record<string, string>>>({});
  const edited = { ...saved };
  for (const [end, { kind, executor, url, headers }] of Object.entries(typed)) {
    if (kind === "nobody") delete edited[end];
    else edited[end] = kind === "executor" ? executor.trim() : { url: url.trim(), headers: headersOf(headers) };
  }

  async function save() {
    setBusy(true);
    setRefused({});
    try {
      await onSave(edited);
      setTyped({});
    } catch (error) {
      setRefused(Problem.of(error).byField);
      sayProblem(error);
    } finally {
      setBusy(false);
    }
  }

  return (
    <Panel title={t.callbacks}>
      <p className={groupClasses.hint}>{t.callbacksHint}</p>
      <form
        className={classes.ends}
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        {ENDS.map((end) => {
          const told = typed[end] ?? toldOf(saved[end]);
          const set = (changes: Partial<Told>) => setTyped({ ...typed, [end]: { ...told, ...changes } });
          const wrong = (part: string) => refused[`callbacks.${end}${part}`];
          return (
            <div key={end} role="group" aria-label={t.ends[end]} className={classes.end}>
              <div className={classes.who}>
                <NativeSelect
                  label={t.ends[end]}
                  size="xs"
                  value={told.kind}
                  data={KINDS.map((kind) => ({ value: kind, label: t.told[kind] }))}
                  onChange={(event) => set({ kind: event.currentTarget.value as Told["kind"] })}
                />
                {told.kind === "executor" && (
                  <TextInput
                    label={t.executor}
                    size="xs"
                    value={told.executor}
                    error={wrong("")}
                    onChange={(event) => set({ executor: event.currentTarget.value })}
                  />
                )}
                {told.kind === "webhook" && (
                  <TextInput
                    label={t.url}
                    placeholder="https://"
                    size="xs"
                    value={told.url}
                    error={wrong(".url") ?? wrong("")}
                    onChange={(event) => set({ url: event.currentTarget.value })}
                  />
                )}
              </div>
              {told.kind === "webhook" && (
                <>
                  <HeaderList value={told.headers} onChange={(headers) => set({ headers })} />
                  {wrong(".headers") && <p className={classes.bad}>{wrong(".headers")}</p>}
                </>
              )}
            </div>
          );
        })}
        <div className={groupClasses.buttons}>
          <Button type="submit" loading={busy} disabled={JSON.stringify(edited) === JSON.stringify(saved)}>
            {t.save}
          </Button>
        </div>
      </form>
    </Panel>
  );
}
