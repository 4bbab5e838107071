import { ActionIcon, Drawer, Tooltip, UnstyledButton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconCommand, IconKeyboard, IconMenu2, IconSearch } from "@tabler/icons-react";
import { Link, useNavigate, useRouterState } from "@tanstack/react-router";
import { lazy, type ReactNode, Suspense, useEffect, useState } from "react";
import { live } from "@/api/events";
import { useMessages } from "@/i18n/language";
import { useKept } from "./kept";
import { useShortcuts } from "./keyboard";
import { Logo } from "./logo";
import { messages } from "./messages";
import { NamespaceSwitch } from "./namespace-switch";
import { NAV, SECTIONS } from "./nav";
import { Preferences } from "./preferences";
import classes from "./shell.module.css";

const Palette = lazy(() => import("./palette"));
const ShortcutList = lazy(() => import("./shortcut-list"));

/** The frame of every page: where one is, where one can go, and the keys that lead there. */
export function Shell({ children }: { children: ReactNode }) {
  const t = useMessages(messages);
  const navigate = useNavigate();
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  const [menu, menuIs] = useDisclosure(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(() => {
    if (path) menuIs.close();
  }, [path, menuIs.close]);

  useShortcuts([
    { keys: "mod+k", label: t.shortcut.palette, everywhere: true, run: () => setPalette(true) },
    { keys: "?", label: t.shortcut.help, everywhere: true, run: () => setHelp(true) },
    ...NAV.map(({ id, to, key }) => ({
      keys: `g ${key}`,
      label: t.goTo(t[id]),
      everywhere: true,
      run: () => void navigate({ to }),
    })),
  ]);

  return (
    <div className={classes.shell}>
      <a className={classes.skip} href="#content">
        {t.skip}
      </a>
      <aside className={classes.sidebar}>
        <Sidebar onPalette={() => setPalette(true)} onHelp={() => setHelp(true)} />
      </aside>
      <header className={classes.topbar}>
        <ActionIcon variant="subtle" color="gray" aria-label={t.menu} onClick={menuIs.open}>
          <IconMenu2 size={20} />
        </ActionIcon>
        <Link to="/" className={classes.brand}>
          <Logo size={22} />
          Redrive
        </Link>
        <ActionIcon variant="subtle" color="gray" aria-label={t.search} onClick={() => setPalette(true)}>
          <IconSearch size={20} />
        </ActionIcon>
      </header>
      <main id="content" className={classes.main} tabIndex={-1}>
        {children}
      </main>
      <nav className={classes.tabs} aria-label={t.mainNavigation}>
        {NAV.slice(0, 4).map(({ id, to, icon: Icon }) => (
          <Link key={id} to={to} activeOptions={{ exact: to === "/", includeSearch: false }} className={classes.tab}>
            <Icon size={20} stroke={1.6} />
            {t[id]}
          </Link>
        ))}
        <UnstyledButton className={classes.tab} onClick={menuIs.open}>
          <IconMenu2 size={20} stroke={1.6} />
          {t.more}
        </UnstyledButton>
      </nav>
      <Drawer
        opened={menu}
        onClose={menuIs.close}
        size={264}
        padding={0}
        withCloseButton={false}
        title={t.menu}
        classNames={{ header: classes.unseen ?? "" }}
      >
        <Sidebar onPalette={() => setPalette(true)} onHelp={() => setHelp(true)} />
      </Drawer>
      <Suspense fallback={null}>
        {palette && <Palette onClose={() => setPalette(false)} />}
        {help && <ShortcutList onClose={() => setHelp(false)} />}
      </Suspense>
    </div>
  );
}

function Sidebar({ onPalette, onHelp }: { onPalette: () => void; onHelp: () => void }) {
  const t = useMessages(messages);
  const listening = useKept(live);
  return (
    <div className={classes.side}>
      <div className={classes.head}>
        <Link to="/" className={classes.brand}>
          <Logo size={24} />
          Redrive
        </Link>
        <Tooltip label={listening ? t.live : t.notLive} withArrow={false}>
          <span
            className={classes.live}
            data-on={listening || undefined}
            role="img"
            aria-label={listening ? t.live : t.notLive}
          />
        </Tooltip>
      </div>
      <NamespaceSwitch />
      <UnstyledButton className={classes.search} onClick={onPalette}>
        <IconSearch size={15} stroke={1.8} />
        <span>{t.search}</span>
        <kbd>
          <IconCommand size={11} />K
        </kbd>
      </UnstyledButton>
      <nav aria-label={t.mainNavigation} className={classes.nav}>
        {SECTIONS.map((section) => (
          <div key={section} className={classes.section}>
            <div className={classes.sectionName}>{t.sections[section]}</div>
            {NAV.filter((entry) => entry.section === section).map(({ id, to, icon: Icon }) => (
              <Link
                key={id}
                to={to}
                activeOptions={{ exact: to === "/", includeSearch: false }}
                className={classes.entry}
              >
                <Icon size={17} stroke={1.7} />
                <span>{t[id]}</span>
              </Link>
            ))}
          </div>
        ))}
      </nav>
      <div className={classes.foot}>
        <Preferences />
        <Tooltip label={t.shortcuts}>
          <ActionIcon variant="subtle" color="gray" aria-label={t.shortcuts} onClick={onHelp}>
            <IconKeyboard size={17} stroke={1.7} />
          </ActionIcon>
        </Tooltip>
      </div>
    </div>
  );
}
