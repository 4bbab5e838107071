import { Modal, useMantineColorScheme } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import {
  IconArrowRight,
  IconListSearch,
  IconMoon,
  IconSitemap,
  IconSun,
  IconTarget,
  IconTopologyStar3,
} from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type ComponentType, type KeyboardEvent, useId, useState } from "react";
import { LANGUAGES, language, useMessages } from "@/i18n/language";
import { suggestTasks } from "@/tasks/selection";
import { messages } from "./messages";
import { NAV } from "./nav";
import classes from "./palette.module.css";

interface Entry {
  id: string;
  label: string;
  hint?: string;
  icon: ComponentType<{ size?: number; stroke?: number }>;
  run: () => void;
}

const TASK_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const SETTLED_MS = 150;
const MOST_NAMES = 5;

/** The groups and scenes whose names begin with what is typed. */
function useNames(typed: string): readonly { field: "group" | "scene"; value: string }[] {
  const [prefix] = useDebouncedValue(typed, SETTLED_MS);
  const { data } = useQuery({
    queryKey: ["palette", prefix],
    queryFn: async ({ signal }) => {
      const ask = async (field: "group" | "scene") =>
        (await suggestTasks(field, prefix, "", signal)).slice(0, MOST_NAMES).map((value) => ({ field, value }));
      return (await Promise.all([ask("group"), ask("scene")])).flat();
    },
    enabled: prefix !== "" && !TASK_ID.test(prefix),
    placeholderData: keepPreviousData,
  });
  return typed === "" ? [] : (data ?? []);
}

/** Leads from a few letters to a page, a group, a scene's tasks, one task or an action. */
export default function Palette({ onClose }: { onClose: () => void }) {
  const t = useMessages(messages);
  const navigate = useNavigate();
  const { setColorScheme } = useMantineColorScheme({ keepTransitions: true });
  const [typed, setTyped] = useState("");
  const [active, setActive] = useState(0);
  const listId = useId();

  const words = typed.trim().toLowerCase();
  const fixed: Entry[] = [
    ...NAV.map(({ id, to, icon, key }) => ({
      id,
      label: t[id],
      hint: `g ${key}`,
      icon,
      run: () => void navigate({ to }),
    })),
    { id: "light", label: `${t.appearance}: ${t.light}`, icon: IconSun, run: () => setColorScheme("light") },
    { id: "dark", label: `${t.appearance}: ${t.dark}`, icon: IconMoon, run: () => setColorScheme("dark") },
    ...LANGUAGES.map(({ code, name }) => ({
      id: code,
      label: `${t.language}: ${name}`,
      icon: IconArrowRight,
      run: () => language.set(code),
    })),
  ];
  const found: Entry[] = [];
  const q = typed.trim();
  const names = useNames(q);
  if (TASK_ID.test(q)) {
    const run = () => void navigate({ to: "/tasks/$taskId", params: { taskId: q.toLowerCase() } });
    found.push({ id: "task", label: t.openTask, hint: q.slice(-8), icon: IconTarget, run });
  }
  found.push(...fixed.filter(({ label, id }) => !words || `${label} ${id}`.toLowerCase().includes(words)));
  for (const { field, value } of names) {
    const run =
      field === "group"
        ? () => void navigate({ to: "/groups/$group", params: { group: value } })
        : () => void navigate({ to: "/tasks", search: { q: `scene:${value}` } });
    const icon = field === "group" ? IconSitemap : IconTopologyStar3;
    found.push({ id: `${field} ${value}`, label: field === "group" ? value : t.tasksOf(value), icon, run });
  }
  if (q)
    found.push({
      id: "find",
      label: t.findTasks(q),
      icon: IconListSearch,
      run: () => void navigate({ to: "/tasks", search: { q } }),
    });

  function choose(entry: Entry | undefined) {
    if (!entry) return;
    onClose();
    entry.run();
  }

  function onKeyDown(event: KeyboardEvent) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setActive((now) => (now + step + found.length) % found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      choose(found[active]);
    }
  }

  return (
    <Modal
      opened
      onClose={onClose}
      withCloseButton={false}
      padding={0}
      size={560}
      centered={false}
      yOffset="12vh"
      title={t.search}
      classNames={{ header: classes.hidden ?? "" }}
    >
      <input
        className={classes.input}
        placeholder={t.palettePlaceholder}
        aria-label={t.search}
        role="combobox"
        aria-expanded
        aria-controls={listId}
        aria-activedescendant={`${listId}-${active}`}
        data-autofocus
        value={typed}
        onChange={(event) => {
          setTyped(event.currentTarget.value);
          setActive(0);
        }}
        onKeyDown={onKeyDown}
      />
      <div className={classes.list} id={listId} role="listbox" aria-label={t.search}>
        {found.map((entry, index) => (
          <div
            key={entry.id}
            id={`${listId}-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === active}
            className={classes.entry}
            ref={(element) => {
              if (index === active) element?.scrollIntoView({ block: "nearest" });
            }}
            onMouseMove={() => setActive(index)}
            onClick={() => choose(entry)}
            onKeyDown={onKeyDown}
          >
            <entry.icon size={16} stroke={1.7} />
            <span>{entry.label}</span>
            {entry.hint && <kbd>{entry.hint}</kbd>}
          </div>
        ))}
      </div>
    </Modal>
  );
}
