import { useDebouncedValue } from "@mantine/hooks";
import { IconSearch, IconX } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { useShortcuts } from "@/app/keyboard";
import { messages as shellMessages } from "@/app/messages";
import { useMessages } from "@/i18n/language";
import { messages } from "./messages";
import { complete, type Field, fieldOf, parseTerms, wordAt } from "./query";
import classes from "./query-bar.module.css";

const TYPED_MS = 120;
const NOTHING_KNOWN: readonly string[] = [];

/** Finds words that complete a value, or the key of a keyed field whose value is not reached yet. */
export type Suggest = (field: string, begun: string, text: string, signal: AbortSignal) => Promise<readonly string[]>;

/** One line that filters a list: `scene:charge-card status:dead created:>1h`, with completion. Enter applies it. */
export function QueryBar({
  value,
  onChange,
  fields,
  placeholder,
  problem,
  suggest,
}: {
  value: string;
  onChange: (value: string) => void;
  fields: readonly Field[];
  placeholder: string;
  /** What is wrong with the text. */
  problem?: string | null;
  /** Knows words for the fields that are `asked`. */
  suggest?: Suggest;
}) {
  const t = useMessages(messages);
  const s = useMessages(shellMessages).shortcut;
  const input = useRef<HTMLInputElement>(null);
  const mirror = useRef<HTMLDivElement>(null);
  const listId = useId();
  const [text, setText] = useState(value);
  const [caret, setCaret] = useState(0);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  // What is being typed stays, down to its last space, when it says the same.
  useEffect(() => setText((now) => (plain(now) === value ? now : value)), [value]);
  useShortcuts([{ keys: "/", label: s.search, run: () => input.current?.focus() }]);

  const known = useKnown(text, caret, fields, open ? suggest : undefined);
  const choices = open ? complete(text, caret, fields, known) : [];
  // Tab completes what was begun; behind a word that is complete it leaves the field, as it does everywhere.
  const { typed, field, begun } = wordAt(text, caret);
  const listed = field === undefined ? undefined : fieldOf(field, fields)?.values;
  const completable = typed !== "" && ![...(listed ?? []), ...known].includes(begun);
  useEffect(() => {
    if (active >= 0) document.getElementById(`${listId}-${active}`)?.scrollIntoView({ block: "nearest" });
  }, [active, listId]);

  function change(next: string, at: number) {
    setText(next);
    setCaret(at);
    setActive(-1);
    setOpen(true);
    requestAnimationFrame(() => input.current?.setSelectionRange(at, at));
  }
  function apply(next = text) {
    setOpen(false);
    onChange(plain(next));
  }
  function choose(index: number) {
    const choice = choices[index];
    if (!choice) return;
    change(choice.result, choice.caret);
    if (choice.result.endsWith(" ")) onChange(plain(choice.result));
  }
  function onKeyDown(event: KeyboardEvent) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) return setOpen(true);
      const size = choices.length + 1;
      setActive((now) => ((now + 1 + (event.key === "ArrowDown" ? 1 : -1) + size) % size) - 1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (active >= 0) choose(active);
      else apply();
    } else if (event.key === "Tab" && !event.shiftKey && choices.length > 0 && (active >= 0 || completable)) {
      event.preventDefault();
      choose(Math.max(0, active));
    } else if (event.key === "Escape") {
      if (open) setOpen(false);
      else input.current?.blur();
    }
  }

  return (
    <div className={classes.bar}>
      <div className={classes.field} data-problem={problem ? true : undefined}>
        <IconSearch size={16} stroke={1.8} aria-hidden />
        <div className={classes.text}>
          <div ref={mirror} className={classes.mirror} aria-hidden>
            {painted(text, fields)}
          </div>
          <input
            ref={input}
            value={text}
            placeholder={placeholder}
            aria-label={t.query}
            role="combobox"
            aria-expanded={choices.length > 0}
            aria-controls={choices.length > 0 ? listId : undefined}
            aria-haspopup="listbox"
            aria-autocomplete="list"
            aria-activedescendant={active >= 0 ? `${listId}-${active}` : undefined}
            aria-invalid={Boolean(problem)}
            autoComplete="off"
            autoCapitalize="off"
            spellCheck={false}
            onChange={(event) => change(event.currentTarget.value, event.currentTarget.selectionStart ?? 0)}
            onSelect={(event) => setCaret(event.currentTarget.selectionStart ?? 0)}
            onScroll={(event) => {
              if (mirror.current) mirror.current.scrollLeft = event.currentTarget.scrollLeft;
            }}
            onFocus={() => setOpen(true)}
            onBlur={() => {
              setOpen(false);
              if (text.trim() !== value) apply();
            }}
            onKeyDown={onKeyDown}
          />
        </div>
        {text && (
          <button
            type="button"
            className={classes.clear}
            aria-label={t.clear}
            onClick={() => {
              setText("");
              apply("");
            }}
          >
            <IconX size={14} />
          </button>
        )}
        <kbd className={classes.key} aria-hidden>
          /
        </kbd>
      </div>
      {choices.length > 0 && (
        <div className={classes.list} id={listId} role="listbox" aria-label={t.query}>
          {choices.map((choice, index) => (
            <div
              key={choice.text}
              id={`${listId}-${index}`}
              role="option"
              tabIndex={-1}
              aria-selected={index === active}
              className={classes.choice}
              // The field keeps the focus.
              onMouseDown={(event) => {
                event.preventDefault();
                choose(index);
              }}
            >
              <code>{choice.text}</code>
              {choice.label && <span>{choice.label}</span>}
            </div>
          ))}
        </div>
      )}
      {problem && (
        <p className={classes.problem} role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}

/** Words that are known of what is being typed; they come as one types. */
function useKnown(text: string, caret: number, fields: readonly Field[], suggest?: Suggest): readonly string[] {
  const word = wordAt(text, caret);
  const dot = word.field === undefined ? word.typed.indexOf(".") : -1;
  // `meta.reg`: what is to be completed is a key of the field.
  const name = dot < 0 ? word.field : word.typed.slice(0, dot);
  const begun = dot < 0 ? word.begun : word.typed.slice(dot + 1);
  const asked = suggest !== undefined && name !== undefined && fieldOf(dot < 0 ? name : word.typed, fields)?.asked;
  const [settled] = useDebouncedValue(`${name}:${begun}`, TYPED_MS);
  const others = text.slice(0, word.begin) + text.slice(word.end);
  const words = useQuery({
    queryKey: ["suggestions", name, begun, others],
    queryFn: ({ signal }) => suggest?.(name ?? "", begun, others, signal) ?? NOTHING_KNOWN,
    enabled: Boolean(asked) && settled === `${name}:${begun}`,
    staleTime: 10_000,
    retry: false,
    // While the next letter is asked for, what was known stays, as far as it still fits.
    placeholderData: (previous, query) => (query?.queryKey[1] === name ? previous : undefined),
  });
  if (!asked || words.data === undefined) return NOTHING_KNOWN;
  return dot < 0 ? words.data : words.data.map((key) => `${name}.${key}`);
}

const plain = (text: string) => text.trim().replace(/\s+/g, " ");

/** The text once more below the field, with its terms in colour. */
function painted(text: string, fields: readonly Field[]): ReactNode[] {
  const parts: ReactNode[] = [];
  let at = 0;
  for (const { field, begin, end } of parseTerms(text, fields)) {
    if (begin > at) parts.push(text.slice(at, begin));
    const term = text.slice(begin, end);
    if (field) {
      const colon = term.indexOf(":") + 1;
      parts.push(
        <span key={begin} className={classes.term} data-unknown={!fieldOf(field, fields) || undefined}>
          <b>{term.slice(0, colon)}</b>
          {term.slice(colon)}
        </span>,
      );
    } else parts.push(term);
    at = end;
  }
  parts.push(text.slice(at));
  return parts;
}
