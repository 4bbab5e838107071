import { useEffect, useRef } from "react";
import { keep } from "./kept";

export interface Shortcut {
  /** Keys one after another, apart by spaces: `j`, `g t`, `mod+k`. */
  keys: string;
  /** What it does, for the list of shortcuts; none leaves it out. */
  label?: string;
  run: () => void;
  /** Whether it is known on every page. */
  everywhere?: boolean;
}

/** What can be pressed now. */
export const shortcuts = keep<readonly Shortcut[]>([]);

const SEQUENCE_MS = 900;
let typed: { keys: string; at: number } = { keys: "", at: 0 };

/** Let keys do something while this component is shown. */
export function useShortcuts(list: readonly Shortcut[]): void {
  const latest = useRef(list);
  latest.current = list;
  const shape = list.map(({ keys, label }) => `${keys}\t${label ?? ""}`).join("\n");
  useEffect(() => {
    const mine: Shortcut[] = shape.split("\n").flatMap((line, index) => {
      const [keys = "", label] = line.split("\t");
      const everywhere = latest.current[index]?.everywhere;
      return keys ? [{ keys, label: label || undefined, everywhere, run: () => latest.current[index]?.run() }] : [];
    });
    shortcuts.set([...shortcuts.get(), ...mine]);
    return () => shortcuts.set(shortcuts.get().filter((shortcut) => !mine.includes(shortcut)));
  }, [shape]);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

function onKeyDown(event: KeyboardEvent): void {
  if (event.isComposing || event.altKey) return;
  const mod = event.metaKey || event.ctrlKey;
  if (!mod && (isTyping(event.target) || document.querySelector("[role=dialog], [role=alertdialog]"))) return;
  const pressed = `${mod ? "mod+" : ""}${event.key.length === 1 ? event.key.toLowerCase() : event.key}`;
  const now = performance.now();
  const sequence = now - typed.at < SEQUENCE_MS && typed.keys ? `${typed.keys} ${pressed}` : pressed;
  const known = shortcuts.get();
  // The newest first: a dialog or a table shadows what the page had.
  const hit = known.findLast(({ keys }) => keys === sequence) ?? known.findLast(({ keys }) => keys === pressed);
  if (hit) {
    // Enter on a link or a button belongs to it.
    if (pressed === "Enter" && event.target instanceof HTMLElement && event.target.closest("a, button")) return;
    typed = { keys: "", at: 0 };
    event.preventDefault();
    hit.run();
    return;
  }
  typed = known.some(({ keys }) => keys.startsWith(`${sequence} `)) ? { keys: sequence, at: now } : { keys: "", at: 0 };
}

window.addEventListener("keydown", onKeyDown);
