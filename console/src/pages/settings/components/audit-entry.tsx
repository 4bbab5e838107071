import { Link, type LinkProps } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Schema } from "@/api/client";
import { useMessages } from "@/i18n/language";
import { messages } from "../messages";
import classes from "./settings.module.css";

export type Entry = Schema<"AuditEntryResource">;

const UUID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/;

/** Where what was changed is shown; null when there is no page of it, or it is gone. */
function linkTo({ action, subject_kind, subject_id }: Entry): LinkProps | null {
  if (action === "delete" || action === "purge") return null;
  const [group = "", scene = ""] = subject_id.split("/");
  switch (subject_kind) {
    case "task":
      return { to: "/tasks/$taskId", params: { taskId: subject_id } };
    case "redrive":
      return { to: "/redrives/$redriveId", params: { redriveId: subject_id } };
    case "group":
      return { to: "/groups/$group", params: { group: subject_id } };
    case "scene":
      return { to: "/groups/$group/scenes/$scene", params: { group, scene } };
    case "dead_letter_group":
      return { to: "/dead-letters/$fingerprint", params: { fingerprint: subject_id } };
    case "breaker":
      return { to: "/targets", search: { key: subject_id } };
    case "node":
      return { to: "/nodes", search: { q: subject_id } };
    case "alert_rule":
      return { to: "/alerts" };
    case "alert_channel":
      return { to: "/alerts", search: { tab: "channels" } };
    default:
      return null;
  }
}

/** What was done to what: “change alert rule Payments die”. */
export function Deed({ of: entry }: { of: Entry }) {
  const t = useMessages(messages);
  const { action, subject_kind, subject_id, facts } = entry;
  const name =
    typeof facts.name === "string" ? facts.name : UUID.test(subject_id) ? subject_id.slice(0, 8) : subject_id;
  const link = linkTo(entry);
  return (
    <>
      {word(t.actions, action)} {word(t.subjects, subject_kind)}{" "}
      {link ? (
        <Link className={classes.subject} title={subject_id} {...link}>
          {name}
        </Link>
      ) : (
        <span className={classes.subject} title={subject_id}>
          {name}
        </span>
      )}
    </>
  );
}

/** What else is known of a change, as names and values. */
export function Facts({ of: { facts } }: { of: Entry }): ReactNode {
  const told = Object.entries(facts).filter(([name, value]) => name !== "name" && value !== null && value !== "");
  return (
    <span className={classes.facts}>
      {told.map(([name, value]) => `${name.replaceAll("_", " ")}: ${plain(value)}`).join(" · ")}
    </span>
  );
}

function plain(value: unknown): string {
  if (Array.isArray(value) && value.every((item) => typeof item !== "object")) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** A word of the API in the viewer's language; one that a newer server says stands as it is. */
function word(words: Readonly<Record<string, string>>, name: string): string {
  return words[name] ?? name.replaceAll("_", " ");
}
