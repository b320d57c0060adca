import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { copy, csv, save } from "../lib/copy";
import { useKeys } from "../lib/keys";

export interface Column<T> {
  id: string;
  name: string;
  title?: string;
  /** What the column is sorted by, and what goes into a CSV; unknown comes last. */
  value: (row: T) => string | number | null;
  /** What is shown; by default the value. */
  cell?: (row: T) => ComponentChildren;
  number?: boolean;
  /** Least width of the window at which it is shown: 2: 700 px, 3: 1100 px, 4: 1600 px; by default always. */
  level?: 2 | 3 | 4;
  /** Takes what room is left. */
  wide?: boolean;
}

export interface Sort {
  id: string;
  down: boolean;
}

export interface TableProps<T> {
  label: string;
  rows: T[];
  columns: Column<T>[];
  /** Names a row, for good. */
  id: (row: T) => string;
  sort?: Sort;
  /** Enter, or a click. */
  open?: (row: T, event: MouseEvent | KeyboardEvent) => void;
  rowClass?: (row: T) => string;
  /** Pixels a row; only tables of one height a row can be long. */
  rowHeight?: number;
  /** j, k and Enter go to this table though it has no focus. */
  main?: boolean;
  /** What the rows are called in a file; without it there is none. */
  file?: string;
}

/** How many rows are drawn above and below of what is in sight. */
const margin = 12;
/** Shorter tables are drawn whole. */
const whole = 120;

function compare(a: string | number | null, b: string | number | null, down: boolean): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return down ? -order : order;
}

/** A table that can be sorted, walked with j and k, and have any length. */
export function Table<T>(props: TableProps<T>) {
  const { rows, columns, id, open, rowHeight = 28 } = props;
  const [sort, setSort] = useState<Sort | undefined>(props.sort);
  const [active, setActive] = useState<string | null>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const walked = useRef(false);

  const by = columns.find((c) => c.id === sort?.id);
  const sorted = useMemo(
    () => (by && sort ? rows.toSorted((a, b) => compare(by.value(a), by.value(b), sort.down)) : rows),
    [rows, by?.id, sort?.down],
  );
  const [first, last] = useInSight(body, sorted.length, rowHeight);
  const at = sorted.findIndex((row) => id(row) === active);

  const move = (by: number) => {
    const next = Math.max(0, Math.min(sorted.length - 1, at < 0 ? 0 : at + by));
    const row = sorted[next];
    if (row === undefined) return;
    walked.current = true;
    setActive(id(row));
    scrollTo_(body.current, next, rowHeight);
  };
  useLayoutEffect(() => {
    if (walked.current) body.current?.querySelector<HTMLElement>("tr.active")?.focus({ preventScroll: true });
    walked.current = false;
  }, [active, first, last]);

  const chosen = at < 0 ? undefined : sorted[at];
  useKeys(
    props.main
      ? [
          { key: "j", does: "next row", run: () => move(1) },
          { key: "k", does: "row before", run: () => move(-1) },
          { key: "Enter", does: "open the row", run: (e) => chosen !== undefined && open?.(chosen, e) },
        ]
      : [],
    [at, sorted, props.main],
  );
  const keys = (event: KeyboardEvent) => {
    const step: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 20, PageUp: -20, Home: -1e9, End: 1e9 };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in step) move(step[event.key]!);
    else if (event.key === "Enter" && event.target instanceof HTMLTableRowElement && chosen !== undefined) open?.(chosen, event);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  const header = (c: Column<T>) => (
    <th key={c.id} scope="col" class={cellClass(c)} title={c.title} aria-sort={sort?.id !== c.id ? "none" : sort.down ? "descending" : "ascending"}>
      <button onClick={() => setSort(sort?.id === c.id ? { id: c.id, down: !sort.down } : { id: c.id, down: !!c.number })}>
        {c.name}
        <span aria-hidden="true">{sort?.id === c.id ? (sort.down ? " ↓" : " ↑") : ""}</span>
      </button>
    </th>
  );
  const cellsOf = () => [columns.map((c) => c.name), ...sorted.map((row) => columns.map((c) => c.value(row)))];
  return (
    <div class="table">
      <table aria-label={props.label} aria-rowcount={sorted.length + 1}>
        <thead>
          <tr>{columns.map(header)}</tr>
        </thead>
        <tbody ref={body} onKeyDown={keys}>
          {first > 0 && <tr aria-hidden="true" style={{ height: `${first * rowHeight}px` }} />}
          {sorted.slice(first, last).map((row, i) => {
            const key = id(row), isActive = key === active;
            return (
              <tr
                key={key}
                aria-rowindex={first + i + 2}
                tabIndex={isActive || (at < 0 && first + i === 0) ? 0 : -1}
                class={`${isActive ? "active " : ""}${open ? "opens " : ""}${props.rowClass?.(row) ?? ""}`}
                style={sorted.length > whole ? { height: `${rowHeight}px` } : undefined}
                onFocus={() => !isActive && setActive(key)}
                onClick={(e) => {
                  if (!open || (e.target as Element).closest("a, button") || getSelection()?.type === "Range") return;
                  setActive(key);
                  open(row, e);
                }}
              >
                {columns.map((c) => <td key={c.id} class={cellClass(c)}>{c.cell ? c.cell(row) : (c.value(row) ?? "–")}</td>)}
              </tr>
            );
          })}
          {last < sorted.length && <tr aria-hidden="true" style={{ height: `${(sorted.length - last) * rowHeight}px` }} />}
        </tbody>
      </table>
      {props.file && rows.length > 0 && (
        <p class="table-tools">
          <button onClick={() => save(`${props.file}.csv`, "text/csv", csv(cellsOf()))}>CSV</button>
          <button onClick={() => void copy(cellsOf().map((r) => r.map((v) => v ?? "").join("\t")).join("\n"), `${rows.length} rows`)}>Copy</button>
        </p>
      )}
    </div>
  );
}

function cellClass<T>(c: Column<T>): string {
  return `${c.number ? "number " : ""}${c.wide ? "wide " : ""}${c.level ? "level" + c.level : ""}`;
}

/** Brings a row into sight, below the header that stays. */
function scrollTo_(body: HTMLElement | null, index: number, height: number): void {
  if (!body) return;
  const top = body.getBoundingClientRect().top + index * height, sticky = 96;
  if (top < sticky) scrollBy(0, top - sticky);
  else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight + 8);
}

/** Which rows are in sight of the window: from the first to before the last. */
function useInSight(body: { current: HTMLElement | null }, length: number, height: number): [number, number] {
  const [range, setRange] = useState<[number, number]>([0, Math.min(length, whole)]);
  useEffect(() => {
    if (length <= whole) return;
    let waits = 0;
    const look = () => {
      waits = 0;
      const top = body.current?.getBoundingClientRect().top ?? 0;
      const from = Math.max(0, Math.floor(-top / height) - margin);
      const to = Math.min(length, Math.ceil((innerHeight - top) / height) + margin);
      setRange((had) => (had[0] === from && had[1] === to ? had : [from, Math.max(from, to)]));
    };
    const ask = () => (waits ||= requestAnimationFrame(look));
    look();
    addEventListener("scroll", ask, { passive: true });
    addEventListener("resize", ask);
    return () => {
      cancelAnimationFrame(waits);
      removeEventListener("scroll", ask);
      removeEventListener("resize", ask);
    };
  }, [length, height]);
  return length <= whole ? [0, length] : [Math.min(range[0], length), Math.min(range[1], length)];
}
