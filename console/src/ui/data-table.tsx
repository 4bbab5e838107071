import { ActionIcon, Checkbox, Menu, Tooltip } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconArrowDown, IconArrowUp, IconColumns3 } from "@tabler/icons-react";
import { type LinkProps, useRouter } from "@tanstack/react-router";
import { columnVisibilityFeature, tableFeatures, useTable } from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type MouseEvent, type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { type Kept, keep, useKept } from "@/app/kept";
import { useShortcuts } from "@/app/keyboard";
import { messages as shellMessages } from "@/app/messages";
import { useMessages } from "@/i18n/language";
import classes from "./data-table.module.css";
import { messages } from "./messages";

export interface Column<T> {
  id: string;
  header: string;
  cell: (row: T) => ReactNode;
  /** A track of CSS grid: `120px`, `minmax(160px, 2fr)`. */
  width: string;
  align?: "right";
  /** The API's words for sorting by it. */
  sort?: { ascending: string; descending: string };
  /** It is always shown. */
  fixed?: boolean;
}

/** Which rows are marked: some that were loaded, or all that match the filter, loaded or not. */
export type Marks = { all: false; ids: ReadonlySet<string> } | { all: true };
export const NO_MARKS: Marks = { all: false, ids: new Set() };

export function isMarked(marks: Marks, id: string): boolean {
  return marks.all || marks.ids.has(id);
}

export interface DataTableProps<T> {
  label: string;
  columns: readonly Column<T>[];
  /** Ids of columns that are not shown. */
  hidden?: readonly string[];
  rows: readonly T[];
  rowId: (row: T) => string;
  /** Where a row leads. */
  link?: (row: T) => LinkProps;
  sort?: string;
  onSort?: (sort: string) => void;
  /** Further pages, fetched as one scrolls towards them. */
  more?: { has: boolean; loading: boolean; load: () => void };
  marks?: Marks;
  onMarks?: (marks: Marks) => void;
  /** A row on a phone; without it the table scrolls sideways. */
  card?: (row: T) => ReactNode;
  /** Shown in place of rows when there are none. */
  empty: ReactNode;
}

const features = tableFeatures({ columnVisibilityFeature });
const ROW = 40;
const CARD = 96;

/** A long table: rows exist while they are seen, further pages come as one scrolls, and j, k, Enter and x work. */
export function DataTable<T>(props: DataTableProps<T>) {
  const { label, columns, hidden = [], rows, rowId, link, sort, onSort, more, marks, onMarks, card, empty } = props;
  const t = useMessages(messages);
  const s = useMessages(shellMessages).shortcut;
  const router = useRouter();
  const phone = useMediaQuery("(max-width: 800px)", false, { getInitialValueInEffect: false });
  const cards = Boolean(phone && card);
  const scroller = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState(-1);

  const definitions = useMemo(
    () =>
      columns.map(({ id, header, fixed }) => ({ id, header, enableHiding: !fixed, accessorFn: (row: object) => row })),
    [columns],
  );
  const visibility = useMemo(() => Object.fromEntries(hidden.map((id) => [id, false])), [hidden]);
  const table = useTable({
    features,
    columns: definitions,
    data: rows as readonly object[] as object[],
    state: { columnVisibility: visibility },
  });
  const shownIds = table.getVisibleLeafColumns().map((column) => column.id);
  const shown = columns.filter(({ id }) => shownIds.includes(id));

  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => (cards ? CARD : ROW),
    getItemKey: (index) => {
      const row = rows[index];
      return row === undefined ? index : rowId(row);
    },
    overscan: 10,
  });
  const items = virtual.getVirtualItems();
  const lastSeen = items.at(-1)?.index ?? -1;
  const { has, loading, load } = more ?? { has: false, loading: false, load: () => {} };
  useEffect(() => {
    if (has && !loading && lastSeen >= rows.length - 15) load();
  }, [has, loading, load, lastSeen, rows.length]);

  function open(row: T | undefined, aside = false) {
    if (row === undefined || !link) return;
    const to = link(row);
    if (aside) window.open(router.buildLocation(to as never).href, "_blank");
    else void router.navigate(to as never);
  }
  function mark(row: T | undefined) {
    if (row === undefined || !onMarks) return;
    const ids = new Set(marks && !marks.all ? marks.ids : marks?.all ? rows.map(rowId) : []);
    if (!ids.delete(rowId(row))) ids.add(rowId(row));
    onMarks({ all: false, ids });
  }
  function step(by: number) {
    const next = Math.max(0, Math.min(rows.length - 1, active + by));
    setActive(next);
    virtual.scrollToIndex(next, { align: "auto" });
  }
  useShortcuts(
    rows.length === 0
      ? []
      : [
          { keys: "j", label: s.next, run: () => step(1) },
          { keys: "k", label: s.previous, run: () => step(-1) },
          ...(link ? [{ keys: "Enter", label: s.open, run: () => open(rows[active]) }] : []),
          ...(onMarks ? [{ keys: "x", label: s.mark, run: () => mark(rows[active]) }] : []),
        ],
  );

  function onClick(event: MouseEvent<HTMLElement>, row: T, index: number) {
    if ((event.target as HTMLElement).closest("a, button, input, label, summary")) return;
    if (window.getSelection()?.toString()) return;
    setActive(index);
    open(row, event.metaKey || event.ctrlKey);
  }

  if (rows.length === 0) return <div className={classes.frame}>{empty}</div>;

  const tracks = [...(onMarks ? ["36px"] : []), ...shown.map(({ width }) => width)].join(" ");
  // As wide as the least that the tracks take; below that the table scrolls sideways.
  const least = cards
    ? 0
    : [...tracks.matchAll(/(?:minmax\()?(\d+)px[^)]*?\)?/g)].reduce((sum, [, px]) => sum + Number(px), 12);
  const every = rows.every((row) => isMarked(marks ?? NO_MARKS, rowId(row)));
  const some = marks?.all || (marks?.ids.size ?? 0) > 0;
  return (
    <div className={classes.frame}>
      <div
        ref={scroller}
        className={classes.scroller}
        role="table"
        aria-label={label}
        aria-rowcount={has ? -1 : rows.length + 1}
        tabIndex={0}
      >
        {!cards && (
          <div role="rowgroup" className={classes.head} style={{ minWidth: least }}>
            <div role="row" aria-rowindex={1} className={classes.headRow} style={{ gridTemplateColumns: tracks }}>
              {onMarks && (
                <div role="columnheader" className={classes.check}>
                  <Checkbox
                    aria-label={t.markAll}
                    checked={every}
                    indeterminate={some && !every}
                    onChange={() => onMarks(some ? NO_MARKS : { all: false, ids: new Set(rows.map(rowId)) })}
                  />
                </div>
              )}
              {shown.map((column) => (
                <HeadCell key={column.id} column={column} sort={sort} onSort={onSort} />
              ))}
            </div>
          </div>
        )}
        <div role="rowgroup" className={classes.body} style={{ height: virtual.getTotalSize(), minWidth: least }}>
          {items.map((item) => {
            const row = rows[item.index];
            if (row === undefined) return null;
            const id = rowId(row);
            return (
              <div
                key={item.key}
                ref={cards ? virtual.measureElement : undefined}
                data-index={item.index}
                role="row"
                aria-rowindex={item.index + 2}
                className={cards ? classes.card : classes.row}
                data-active={item.index === active || undefined}
                data-marked={(marks && isMarked(marks, id)) || undefined}
                data-link={link ? true : undefined}
                style={{ transform: `translateY(${item.start}px)`, ...(cards ? {} : { gridTemplateColumns: tracks }) }}
                onClick={(event) => onClick(event, row, item.index)}
              >
                {onMarks && (
                  <div role="cell" className={classes.check}>
                    <Checkbox
                      aria-label={t.markRow}
                      checked={isMarked(marks ?? NO_MARKS, id)}
                      onChange={() => mark(row)}
                    />
                  </div>
                )}
                {cards && card ? (
                  <div role="cell" className={classes.cardBody}>
                    {card(row)}
                  </div>
                ) : (
                  shown.map((column) => (
                    <div key={column.id} role="cell" className={classes.cell} data-align={column.align}>
                      {column.cell(row)}
                    </div>
                  ))
                )}
              </div>
            );
          })}
        </div>
        <div className={classes.foot}>{has || loading ? t.loadingMore : t.end(rows.length)}</div>
      </div>
    </div>
  );
}

function HeadCell<T>({ column, sort, onSort }: { column: Column<T>; sort?: string; onSort?: (sort: string) => void }) {
  const t = useMessages(messages);
  const { ascending, descending } = column.sort ?? {};
  if (!ascending || !descending || !onSort) {
    return (
      <div role="columnheader" className={classes.headCell} data-align={column.align}>
        {column.header}
      </div>
    );
  }
  const direction = sort === ascending ? "ascending" : sort === descending ? "descending" : "none";
  return (
    <div role="columnheader" aria-sort={direction} className={classes.headCell} data-align={column.align}>
      <button
        type="button"
        aria-label={t.sortBy(column.header)}
        data-sorted={direction !== "none" || undefined}
        onClick={() => onSort(direction === "descending" ? ascending : descending)}
      >
        {column.header}
        {direction === "ascending" ? <IconArrowUp size={12} /> : <IconArrowDown size={12} />}
      </button>
    </div>
  );
}

const keptColumns = new Map<string, Kept<readonly string[]>>();

/** Which columns of a table a person has hidden in this browser. */
export function useHiddenColumns(
  table: string,
  initially: readonly string[] = [],
): [readonly string[], (hidden: readonly string[]) => void] {
  let kept = keptColumns.get(table);
  if (!kept) {
    kept = keep(initially, `redrive.columns.${table}`);
    keptColumns.set(table, kept);
  }
  return [useKept(kept), kept.set];
}

/** Chooses the columns of a table. */
export function ColumnChooser<T>({
  columns,
  hidden,
  onChange,
}: {
  columns: readonly Column<T>[];
  hidden: readonly string[];
  onChange: (hidden: readonly string[]) => void;
}) {
  const t = useMessages(messages);
  return (
    <Menu closeOnItemClick={false} position="bottom-end">
      <Menu.Target>
        <Tooltip label={t.columns}>
          <ActionIcon variant="default" size={30} aria-label={t.columns}>
            <IconColumns3 size={16} stroke={1.7} />
          </ActionIcon>
        </Tooltip>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t.columns}</Menu.Label>
        {columns
          .filter(({ fixed }) => !fixed)
          .map(({ id, header }) => (
            <Menu.CheckboxItem
              key={id}
              checked={!hidden.includes(id)}
              onChange={() => onChange(hidden.includes(id) ? hidden.filter((other) => other !== id) : [...hidden, id])}
            >
              {header}
            </Menu.CheckboxItem>
          ))}
        <Menu.Divider />
        <Menu.Item onClick={() => onChange([])}>{t.resetColumns}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** What can be done with the marked rows; shown while there are any. */
export function MarksBar({
  marks,
  loaded,
  total,
  onMarks,
  children,
}: {
  marks: Marks;
  /** How many rows are loaded. */
  loaded: number;
  /** How many match the filter; null when that is not known. */
  total: number | null;
  onMarks: (marks: Marks) => void;
  /** Buttons. */
  children: ReactNode;
}) {
  const t = useMessages(messages);
  if (!marks.all && marks.ids.size === 0) return null;
  const offer = !marks.all && marks.ids.size >= loaded && (total === null || total > loaded);
  return (
    <div
      className={classes.marks}
      role="toolbar"
      aria-label={marks.all ? t.markedMatching(total) : t.marked(marks.ids.size)}
    >
      <span className={classes.marksCount}>{marks.all ? t.markedMatching(total) : t.marked(marks.ids.size)}</span>
      {offer && (
        <button type="button" className={classes.marksAll} onClick={() => onMarks({ all: true })}>
          {t.markMatching(total)}
        </button>
      )}
      <span className={classes.marksButtons}>{children}</span>
      <button type="button" className={classes.marksAll} onClick={() => onMarks(NO_MARKS)}>
        {t.unmark}
      </button>
    </div>
  );
}
