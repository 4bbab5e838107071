import { Button } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { Faults } from "@/api/faults";
import { Problem } from "@/api/problem";
import { useMessages } from "@/i18n/language";
import { Panel } from "@/ui/page";
import { sayProblem } from "@/ui/say";
import { Result } from "@/ui/states";
import { useDefaults } from "./defaults";
import classes from "./layer-policy.module.css";
import { messages } from "./messages";
import { at, merged, type Parts, says } from "./parts";
import { type Origin, PolicyForm } from "./policy-form";
import { Simulator } from "./simulator";

export interface Layer {
  origin: Origin;
  parts: Parts;
}

export interface LayerPolicyProps {
  /** What the layer says now. */
  saved: Parts;
  /** The layers below it, the lowest first. */
  layers: readonly Layer[];
  /** Says what saving will do. */
  note?: ReactNode;
  /** Stands beside the title: a version. */
  aside?: ReactNode;
  onSave: (parts: Parts) => Promise<unknown>;
}

/** A layer's policy: its form, and beside it what the policy does while it is being edited. */
export function LayerPolicy({ saved, layers, note, aside, onSave }: LayerPolicyProps) {
  const t = useMessages(messages);
  const [edited, setEdited] = useState<Parts | null>(null);
  const [busy, setBusy] = useState(false);
  const [problems, setProblems] = useState<Readonly<Record<string, string>>>({});
  const parts = edited ?? saved;
  const changed = edited !== null && JSON.stringify(edited) !== JSON.stringify(saved);
  const defaults = useDefaults();
  const below = (lowest: Parts) => layers.reduce((document, layer) => merged(document, layer.parts), lowest);
  const whole = (lowest: Parts) => merged(below(lowest), parts);

  function change(next: Parts) {
    setEdited(next);
    // What was said of a part that is another one now may be true no longer, or of another rule of its list.
    const same = ([place]: [string, string]) => at(next, partOf(place)) === at(parts, partOf(place));
    setProblems(Object.fromEntries(Object.entries(problems).filter(same)));
  }

  async function save() {
    setBusy(true);
    setProblems({});
    try {
      await onSave(parts);
      setEdited(null);
    } catch (error) {
      setProblems(new Faults(Problem.of(error).errors).below("policy"));
      sayProblem(error);
    } finally {
      setBusy(false);
    }
  }

  return (
    <div className={classes.columns}>
      <Panel title={t.policy} aside={aside}>
        <Result query={defaults} rows={14}>
          {(lowest) => (
            <PolicyForm
              parts={parts}
              below={below(lowest)}
              originOf={(path) => originOf(layers, path)}
              problems={problems}
              onChange={change}
            />
          )}
        </Result>
        <div className={classes.save}>
          <span>{changed ? note : t.unchanged}</span>
          <Button disabled={!changed || busy} onClick={() => setEdited(null)}>
            {t.discard}
          </Button>
          <Button variant="filled" disabled={!changed} loading={busy} onClick={() => void save()}>
            {t.save}
          </Button>
        </div>
      </Panel>
      <div className={classes.simulator}>{defaults.data && <Simulator parts={whole(defaults.data)} />}</div>
    </div>
  );
}

/** The layer that says something of a place, the highest first. */
function originOf(layers: readonly Layer[], path: string): Origin {
  const saysIt = ({ parts }: Layer) =>
    says(parts, path) || (path.startsWith("backoff.") && at(parts, "backoff.kind") !== undefined);
  return layers.findLast(saysIt)?.origin ?? "default";
}

/** The part of the policy that a place is in: `classification` of `classification[0].error`. */
function partOf(place: string): string {
  return place.replace(/[.[].*$/, "");
}
