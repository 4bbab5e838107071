import { keepPreviousData } from "@tanstack/react-query";
import { useRef } from "react";
import { $api, type Schema } from "@/api/client";
import { useLive } from "@/api/events";
import type { Range } from "@/app/search";

export type Overview = Schema<"Overview">;

const TOGETHER_MS = 2_000;

/** All figures of one moment, which follow what happens. */
export function useOverview(range: Range, group: string | undefined) {
  const query = $api.useQuery(
    "get",
    "/v1/stats/overview",
    { params: { query: { range, group } } },
    { refetchInterval: 10_000, placeholderData: keepPreviousData },
  );
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  useLive(["tasks", "nodes", "breakers"], () => {
    timer.current ??= setTimeout(() => {
      timer.current = null;
      void query.refetch();
    }, TOGETHER_MS);
  });
  return query;
}
