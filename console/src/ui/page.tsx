import { IconChevronRight } from "@tabler/icons-react";
import { Link, type LinkProps } from "@tanstack/react-router";
import { type ReactNode, useEffect } from "react";
import classes from "./page.module.css";

export interface PageProps {
  title: string;
  /** The pages above this one, the outermost first. */
  above?: readonly { label: string; link: LinkProps }[];
  /** Stands beside the title: a badge, an id. */
  beside?: ReactNode;
  /** One line below the title. */
  lead?: ReactNode;
  /** Buttons at the right of the title. */
  actions?: ReactNode;
  /** The page is as high as the screen, and its content scrolls by itself: for tables. */
  filled?: boolean;
  children?: ReactNode;
}

/** A page's head and body. */
export function Page({ title, above, beside, lead, actions, filled, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Redrive`;
  }, [title]);
  return (
    <div className={classes.page} data-filled={filled || undefined}>
      <header className={classes.header}>
        <div className={classes.heading}>
          {above && (
            <nav className={classes.above} aria-label="Breadcrumb">
              {above.map(({ label, link }) => (
                <span key={label}>
                  <Link {...link}>{label}</Link>
                  <IconChevronRight size={13} aria-hidden />
                </span>
              ))}
            </nav>
          )}
          <div className={classes.titleRow}>
            <h1 className={classes.title}>{title}</h1>
            {beside}
          </div>
          {lead && <div className={classes.lead}>{lead}</div>}
        </div>
        {actions && <div className={classes.actions}>{actions}</div>}
      </header>
      <div className={classes.body}>{children}</div>
    </div>
  );
}

/** A framed part of a page. */
export function Panel({
  title,
  aside,
  flush,
  children,
  className,
}: {
  title?: ReactNode;
  /** Stands at the right of the title. */
  aside?: ReactNode;
  /** The content reaches the frame: for tables and charts. */
  flush?: boolean;
  children: ReactNode;
  className?: string;
}) {
  return (
    <section className={`${classes.panel} ${className ?? ""}`}>
      {(title || aside) && (
        <header className={classes.panelHead}>
          <h2>{title}</h2>
          {aside && <div className={classes.panelAside}>{aside}</div>}
        </header>
      )}
      <div className={flush ? classes.flush : classes.panelBody}>{children}</div>
    </section>
  );
}

/** Names and values, one below the other. */
export function Facts({ facts }: { facts: readonly (readonly [label: ReactNode, value: ReactNode])[] }) {
  return (
    <dl className={classes.facts}>
      {facts.map(([label, value], index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: facts keep their places
        <div key={index}>
          <dt>{label}</dt>
          <dd>{value ?? <span className={classes.none}>–</span>}</dd>
        </div>
      ))}
    </dl>
  );
}
