import { keepPreviousData, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { api, type Schema } from "@/api/client";
import { useLive } from "@/api/events";
import { readSelection, type Selection, selectionQuery, useSelection, useTaskFields } from "@/tasks/selection";
import type { Sort } from "../search";

export type Task = Schema<"TaskSummary">;

const PAGE = 100;
const POLL_MS = 5_000;
const LIVE_POLL_MS = 30_000;
const TOGETHER_MS = 800;

async function fetchPage(selection: Selection, sort: Sort, cursor?: string) {
  const query = { ...selectionQuery(selection), sort, limit: PAGE, cursor };
  const { data } = await api.GET("/v1/tasks", { params: { query } });
  if (!data) throw new Error("the list of tasks came back empty");
  return data;
}

/**
 * The list of tasks: pages as one scrolls, rows that change where they stand, and new ones that wait to be asked for.
 *
 * @param q The text of the query bar.
 * @param sort The API's word for the order.
 */
export function useTasks(q: string, sort: Sort) {
  const client = useQueryClient();
  const fields = useTaskFields();
  const { problem } = useSelection(q, fields);
  // Ages such as `created:>1h` count from the moment of asking, which all pages of one list must share.
  const [asked, setAsked] = useState(() => Date.now());
  // biome-ignore lint/correctness/useExhaustiveDependencies: the fields are the same words in each language
  const selection = useMemo(() => readSelection(q, fields, asked), [q, asked]);
  const key = ["tasks", q, sort, asked] as const;

  const pages = useInfiniteQuery({
    queryKey: [...key, "pages"],
    queryFn: ({ pageParam }) => fetchPage(selection, sort, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    enabled: problem === null,
    // What is shown must not jump: it changes when it is asked for anew.
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    placeholderData: keepPreviousData,
  });
  const count = useQuery({
    queryKey: [...key, "count"],
    queryFn: async () => (await api.GET("/v1/tasks/count", { params: { query: selectionQuery(selection) } })).data,
    enabled: problem === null,
    placeholderData: keepPreviousData,
  });

  const loaded = useMemo(() => pages.data?.pages.flatMap(({ items }) => items) ?? [], [pages.data]);
  const ids = useMemo(() => new Set(loaded.map(({ id }) => id)), [loaded]);
  const [changed, setChanged] = useState<ReadonlyMap<string, Task>>(new Map());

  // The first page once more: what is new waits behind a button, what is known changes in its row.
  const [listening, setListening] = useState(false);
  const peek = useQuery({
    queryKey: [...key, "peek"],
    queryFn: () => fetchPage(readSelection(q, fields, Date.now()), sort),
    enabled: problem === null && pages.isSuccess,
    refetchInterval: listening ? LIVE_POLL_MS : POLL_MS,
  });
  const waiting = useRef<{ ids: Set<string>; timer: ReturnType<typeof setTimeout> | null }>({
    ids: new Set(),
    timer: null,
  });
  const isLive = useLive(["tasks"], (event) => {
    for (const id of event.ids) if (ids.has(id)) waiting.current.ids.add(id);
    waiting.current.timer ??= setTimeout(() => {
      const wanted = [...waiting.current.ids].slice(0, PAGE);
      waiting.current = { ids: new Set(), timer: null };
      void peek.refetch();
      if (wanted.length > 0) void fetchPage({ ids: wanted }, "-created_at").then(({ items }) => merge(items));
    }, TOGETHER_MS);
  });
  useEffect(() => setListening(isLive), [isLive]);
  function merge(items: readonly Task[]) {
    setChanged((now) => new Map([...now, ...items.map((task) => [task.id, task] as const)]));
  }
  const peeked = peek.data?.items;
  useEffect(() => {
    if (peeked) setChanged((now) => new Map([...now, ...peeked.map((task) => [task.id, task] as const)]));
  }, [peeked]);

  const rows = useMemo(
    () =>
      loaded.map((row) => {
        const newer = changed.get(row.id);
        return newer && newer.updated_at >= row.updated_at ? newer : row;
      }),
    [loaded, changed],
  );
  const arrived =
    pages.isSuccess && !pages.isPlaceholderData ? (peeked?.filter(({ id }) => !ids.has(id)).length ?? 0) : 0;

  return {
    fields,
    problem,
    selection,
    rows,
    arrived,
    count: count.data,
    query: { data: pages.data, error: pages.error, refetch: pages.refetch },
    fetching: pages.isPlaceholderData,
    more: {
      has: pages.hasNextPage,
      loading: pages.isFetchingNextPage,
      load: () => void pages.fetchNextPage(),
    },
    /** Ask for everything anew, from the top. */
    renew() {
      client.removeQueries({ queryKey: ["tasks", q, sort] });
      setChanged(new Map());
      setAsked(Date.now());
    },
  };
}
