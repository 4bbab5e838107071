// Before the first paint, so that a dark screen does not flash white. A file of its own, since the policy for scripts allows no inline ones.
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem("redrive.scheme");
  } catch {}
  const dark = kept === "dark" || (kept !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
})();
