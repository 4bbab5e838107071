/** A row of small bars: how something came and went. The text beside it must say the figures. */
export function Sparkline({
  values,
  width = 96,
  height = 22,
  tone = "dead",
  label,
}: {
  values: readonly number[];
  width?: number;
  height?: number;
  tone?: "dead" | "succeeded" | "running" | "waiting" | "parked";
  label: string;
}) {
  const most = Math.max(1, ...values);
  const step = width / Math.max(1, values.length);
  return (
    <svg width={width} height={height} role="img" aria-label={label}>
      {values.map((value, index) => {
        const size = value === 0 ? 1 : Math.max(2, (value / most) * height);
        return (
          <rect
            // biome-ignore lint/suspicious/noArrayIndexKey: the place is the identity
            key={index}
            x={index * step}
            y={height - size}
            width={Math.max(1, step - 1)}
            height={size}
            rx={Math.min(1, size / 2)}
            fill={value === 0 ? "var(--border-strong)" : `var(--${tone})`}
          />
        );
      })}
    </svg>
  );
}
