import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { $api, api, type Schema } from "@/api/client";
import { useLive } from "@/api/events";

export type Task = Schema<"TaskResource">;
export type Attempt = Schema<"AttemptResource">;
export type Revision = Schema<"PayloadRevision">;

const OPEN = ["pending", "waiting", "running", "paused", "parked"];
const PAGE = 200;

export function isOpen(task: Task): boolean {
  return OPEN.includes(task.status);
}

/** A task and all that is known of it; it follows the task's life while the page is shown. */
export function useTask(taskId: string) {
  const client = useQueryClient();
  const path = { params: { path: { task_id: taskId } } };
  const task = $api.useQuery("get", "/v1/tasks/{task_id}", path, {
    // Live events come within a second; the poll is for servers and networks without them.
    refetchInterval: ({ state }) => (state.data && isOpen(state.data) ? 5_000 : 60_000),
  });
  const attemptsKey = ["attempts", taskId];
  const attempts = useInfiniteQuery({
    queryKey: attemptsKey,
    queryFn: async ({ pageParam }) => {
      const query = { limit: PAGE, cursor: pageParam };
      const { data } = await api.GET("/v1/tasks/{task_id}/attempts", { params: { path: { task_id: taskId }, query } });
      if (!data) throw new Error("the list of attempts came back empty");
      return data;
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
  });
  const policy = $api.useQuery("get", "/v1/tasks/{task_id}/effective-policy", path);
  const audit = $api.useQuery("get", "/v1/audit", {
    params: { query: { subject_kind: "task", subject_id: taskId, limit: 50 } },
  });
  const callbacks = $api.useQuery("get", "/v1/tasks", { params: { query: { parent_id: taskId, limit: 20 } } });

  // Pages come oldest first, and the newest attempts are what one looks for: read on to the end.
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = attempts;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);

  const revision = task.data?.payload_revision ?? 1;
  const revisions = useInfiniteQuery({
    queryKey: ["revisions", taskId, revision],
    queryFn: async ({ pageParam }) => {
      const { data } = await api.GET("/v1/tasks/{task_id}/payloads", {
        params: { path: { task_id: taskId }, query: { cursor: pageParam } },
      });
      if (!data) throw new Error("the list of revisions came back empty");
      return data;
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    enabled: revision > 1,
  });
  const revisionPages = revisions.data?.pages;
  const revisionList = useMemo(() => revisionPages?.flatMap(({ items }) => items), [revisionPages]);

  const changedAt = task.data?.updated_at;
  // biome-ignore lint/correctness/useExhaustiveDependencies: whatever changed the task may have changed its parts
  useEffect(() => {
    if (changedAt) renewParts();
  }, [changedAt]);

  useLive(["tasks"], ({ ids }) => {
    if (ids.length === 0 || ids.includes(taskId)) void task.refetch();
  });

  function renewParts() {
    void client.invalidateQueries({ queryKey: attemptsKey });
    void policy.refetch();
    void audit.refetch();
    void callbacks.refetch();
  }

  const pages = attempts.data?.pages;
  const list = useMemo(() => pages?.flatMap(({ items }) => items), [pages]);
  return {
    task,
    attempts: { data: list, error: attempts.error, refetch: attempts.refetch },
    /** Revisions of the payload, the newest first; none while it is as it was reported. */
    revisions: {
      list: revisionList ?? [],
      error: revisions.error,
      refetch: revisions.refetch,
      more: revisions.hasNextPage ? () => void revisions.fetchNextPage() : null,
    },
    policy,
    audit,
    callbacks,
    /** Take over what an operation answered with. */
    set(next: Task) {
      client.setQueryData(["get", "/v1/tasks/{task_id}", path], next);
      renewParts();
    },
  };
}
