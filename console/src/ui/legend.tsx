import classes from "./legend.module.css";

/** What the colours of a chart mean. */
export function Legend({
  series,
  note,
}: {
  series: readonly { label: string; tone: string; kind?: string }[];
  note?: string;
}) {
  return (
    <span className={classes.legend}>
      {series.map(({ label, tone, kind }) => (
        <span key={label}>
          <i data-line={kind === "line" || undefined} style={{ background: `var(--${tone})` }} />
          {label}
        </span>
      ))}
      {note && <span>{note}</span>}
    </span>
  );
}
