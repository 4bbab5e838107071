import { Button, Textarea } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { useState } from "react";
import { useMessages } from "@/i18n/language";
import { CopyButton } from "./copy";
import classes from "./json.module.css";
import { messages } from "./messages";

const OPEN_DEPTH = 3;
const MOST_SHOWN = 200;

/** A JSON value that can be folded. */
export function JsonView({ value, label }: { value: unknown; label?: string }) {
  return (
    <div className={classes.view} role="group" tabIndex={0} aria-label={label ?? "JSON"}>
      <span className={classes.copy}>
        <CopyButton text={JSON.stringify(value, null, 2) ?? "null"} />
      </span>
      <Value value={value} depth={0} />
    </div>
  );
}

function Value({ name, value, depth, last = true }: { name?: string; value: unknown; depth: number; last?: boolean }) {
  const t = useMessages(messages);
  const [open, setOpen] = useState(depth < OPEN_DEPTH);
  const label = name === undefined ? null : <span className={classes.key}>"{name}": </span>;
  const comma = last ? "" : ",";
  if (value === null || typeof value !== "object") {
    return (
      <div className={classes.line}>
        {label}
        <span>
          <span data-type={value === null ? "null" : typeof value}>{JSON.stringify(value) ?? "undefined"}</span>
          {comma}
        </span>
      </div>
    );
  }
  const list = Array.isArray(value);
  const entries = list ? value.map((item, index) => [String(index), item] as const) : Object.entries(value);
  const [begin, end] = list ? "[]" : "{}";
  if (entries.length === 0) {
    return (
      <div className={classes.line}>
        {label}
        {begin}
        {end}
        {comma}
      </div>
    );
  }
  const Icon = open ? IconChevronDown : IconChevronRight;
  return (
    <div>
      <div className={classes.line}>
        <button
          type="button"
          className={classes.fold}
          aria-expanded={open}
          aria-label={`${open ? t.collapse : t.expand} ${name ?? ""}`}
          onClick={() => setOpen(!open)}
        >
          <Icon size={12} />
        </button>
        {label}
        {begin}
        {!open && (
          <>
            <span className={classes.size}> {list ? t.items(entries.length) : t.keys(entries.length)} </span>
            {end}
            {comma}
          </>
        )}
      </div>
      {open && (
        <>
          <div className={classes.children}>
            {entries.slice(0, MOST_SHOWN).map(([key, item], index) => (
              <Value
                key={key}
                name={list ? undefined : key}
                value={item}
                depth={depth + 1}
                last={index === entries.length - 1}
              />
            ))}
            {entries.length > MOST_SHOWN && (
              <div className={classes.size}>… {t.items(entries.length - MOST_SHOWN)}</div>
            )}
          </div>
          <div className={classes.line}>
            {end}
            {comma}
          </div>
        </>
      )}
    </div>
  );
}

/** Read what a person typed as JSON: the value, or why it is none. */
export function parseJson(text: string): { value: unknown } | { why: string } {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    return { why: error instanceof Error ? error.message : String(error) };
  }
}

/** A text with the lines of JSON, where it is JSON. */
export function prettyJson(text: string): string {
  const parsed = parseJson(text);
  return "value" in parsed ? JSON.stringify(parsed.value, null, 2) : text;
}

/** A text field for a JSON value. The text is kept as typed; `parseJson` tells whether it can be sent. */
export function JsonEditor({
  label,
  hideLabel,
  description,
  text,
  onChange,
  error,
  rows = 10,
}: {
  label: string;
  /** The name stands beside it already, with more than words. */
  hideLabel?: boolean;
  description?: string;
  text: string;
  onChange: (text: string) => void;
  /** What the server found wrong with it. */
  error?: string;
  rows?: number;
}) {
  const t = useMessages(messages);
  const parsed = parseJson(text);
  const wrong = "why" in parsed ? t.notJson(parsed.why) : error;
  return (
    <div className={classes.editor}>
      <Textarea
        label={hideLabel ? undefined : label}
        aria-label={label}
        description={description}
        value={text}
        onChange={(event) => onChange(event.currentTarget.value)}
        error={wrong}
        autosize
        minRows={Math.min(rows, 4)}
        maxRows={rows}
        spellCheck={false}
        classNames={{ input: classes.input ?? "" }}
      />
      {"value" in parsed && (
        <Button
          size="compact-xs"
          variant="subtle"
          className={classes.format}
          onClick={() => onChange(JSON.stringify(parsed.value, null, 2))}
        >
          {t.format}
        </Button>
      )}
    </div>
  );
}
