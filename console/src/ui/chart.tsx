import { Skeleton } from "@mantine/core";
import { lazy, Suspense } from "react";
import type { PlotProps } from "./plot";

const Plot = lazy(() => import("./plot"));

/** A chart. The library comes when the first one is shown. */
export function Chart(props: PlotProps) {
  return (
    <Suspense fallback={<Skeleton height={props.height ?? 180} radius="sm" />}>
      <Plot {...props} />
    </Suspense>
  );
}
