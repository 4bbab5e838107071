import { Modal } from "@mantine/core";
import { useMessages } from "@/i18n/language";
import { useKept } from "./kept";
import { type Shortcut, shortcuts } from "./keyboard";
import { messages } from "./messages";
import classes from "./shortcut-list.module.css";

const APPLE = /Mac|iPhone|iPad/.test(navigator.platform);
const NAMES: Record<string, string> = { "mod+k": APPLE ? "⌘ K" : "Ctrl K", Enter: "↵", Escape: "Esc" };

/** Lists what can be pressed on this page. */
export default function ShortcutList({ onClose }: { onClose: () => void }) {
  const t = useMessages(messages);
  const known = useKept(shortcuts).filter(({ label }) => label);
  const here = known.filter(({ everywhere }) => !everywhere);
  return (
    <Modal opened onClose={onClose} title={t.shortcuts} size={620}>
      <div className={classes.columns}>
        <List title={t.everywhere} list={known.filter(({ everywhere }) => everywhere)} />
        {here.length > 0 && <List title={t.onThisPage} list={here} />}
      </div>
      <p className={classes.hint}>{t.shortcutsHint}</p>
    </Modal>
  );
}

function List({ title, list }: { title: string; list: readonly Shortcut[] }) {
  return (
    <section>
      <h3 className={classes.title}>{title}</h3>
      <dl className={classes.list}>
        {list.map(({ keys, label }) => (
          <div key={keys} className={classes.row}>
            <dt>
              {(NAMES[keys] ?? keys).split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{label}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
