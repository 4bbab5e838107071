import type { ReactNode } from "react";
import classes from "./code.module.css";

/** A word of code within a sentence. */
export function Code({ children }: { children: ReactNode }) {
  return <code className={classes.inline}>{children}</code>;
}

/** Lines of code or output; long ones are broken when they are asked to. */
export function CodeBlock({ children, wrap, label }: { children: string; wrap?: boolean; label?: string }) {
  return (
    <pre role="region" className={classes.block} data-wrap={wrap || undefined} tabIndex={0} aria-label={label}>
      {children}
    </pre>
  );
}
