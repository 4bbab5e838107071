import { IconSearch, IconX } from "@tabler/icons-react";
import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { useShortcuts } from "@/app/keyboard";
import { messages as shellMessages } from "@/app/messages";
import { useMessages } from "@/i18n/language";
import { messages } from "./messages";
import { complete, type Field, fieldOf, parseTerms } from "./query";
import classes from "./query-bar.module.css";

/** One line that filters a list: `scene:charge-card status:dead created:>1h`, with completion. Enter applies it. */
export function QueryBar({
  value,
  onChange,
  fields,
  placeholder,
  problem,
}: {
  value: string;
  onChange: (value: string) => void;
  fields: readonly Field[];
  placeholder: string;
  /** What is wrong with the text. */
  problem?: string | null;
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

  const choices = open ? complete(text, caret, fields) : [];

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
    } else if (event.key === "Tab" && choices.length > 0 && open && !event.shiftKey && text.length > 0 && active >= 0) {
      event.preventDefault();
      choose(active);
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
            aria-controls={listId}
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
