import { useMessages } from "@/i18n/language";
import { diffLines } from "./diff";
import classes from "./json.module.css";
import { messages } from "./messages";

const SIGNS = { same: " ", removed: "−", added: "+", skipped: " " };

/** What differs between two JSON values: lines that go, and lines that come. */
export function JsonDiff({ before, after, label }: { before: unknown; after: unknown; label: string }) {
  const t = useMessages(messages);
  const lines = diffLines(written(before), written(after));
  if (lines.length === 0) return <p className={classes.noDifference}>{t.noDifference}</p>;
  return (
    <div className={classes.diff} role="group" tabIndex={0} aria-label={label}>
      {lines.map(({ kind, text }, index) => {
        const Line = kind === "removed" ? "del" : kind === "added" ? "ins" : "span";
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines have no other identity
          <Line key={index} className={classes.diffLine} data-kind={kind}>
            <span aria-hidden>{SIGNS[kind]} </span>
            {text}
          </Line>
        );
      })}
    </div>
  );
}

/** Without commas at the ends of lines: a member that comes after another would change that one's line too. */
function written(value: unknown): string {
  return (JSON.stringify(value, null, 2) ?? "null").replace(/,$/gm, "");
}
