/** The mark: around once more, to the point. */
export function Logo({ size = 24 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="var(--logo-ground, #1b2421)" />
      <path d="M9 16a7 7 0 1 0 2.4-5.3" fill="none" stroke="#f2f5f3" strokeWidth="2.8" strokeLinecap="round" />
      <path
        d="M11.9 5.6l-.7 5.4 5.3.6"
        fill="none"
        stroke="#f2f5f3"
        strokeWidth="2.8"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
      <circle cx="16" cy="16" r="2.4" fill="#4fb3e8" />
    </svg>
  );
}
