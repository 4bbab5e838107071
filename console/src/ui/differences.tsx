import type { Schema } from "@/api/client";
import classes from "./differences.module.css";

/** What two documents do not have in common: each place, with its value before and after. */
export function Differences({ of }: { of: readonly Schema<"Difference">[] }) {
  return (
    <ul className={classes.list}>
      {of.map(({ path, action, before, after }) => (
        <li key={path}>
          {path}: {action !== "add" && <del>{JSON.stringify(before)}</del>} {action === "change" && "→ "}
          {action !== "remove" && <ins>{JSON.stringify(after)}</ins>}
        </li>
      ))}
    </ul>
  );
}
