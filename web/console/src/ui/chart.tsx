import uPlot from "uplot";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useSignalEffect } from "@preact/signals";
import { num } from "../lib/format";
import { theme, valueOf } from "../lib/palette";
import { brush, cursor } from "../lib/route";
import { bucketAt, gaps, stack, type Values } from "../lib/stack";
import { clock, date, hourMinute, instant, near, zone } from "../lib/time";
import { Table } from "./table";

export interface ChartSeries {
  key: string;
  label: string;
  /** A variable of the style sheet. */
  colour: string;
  values: Values;
  /** Drawn as a line over the stack. */
  line?: boolean;
}

export interface ChartProps {
  title: string;
  /** Starts of the buckets, and their width, in milliseconds. */
  times: number[];
  step: number;
  from: number;
  to: number;
  series: ChartSeries[];
  /** Otherwise all series are lines. */
  stacked?: boolean;
  /** A level to hold the values against. */
  limit?: { value: number; label: string } | null;
  /** The axis of values reaches at least so far: to be held against another chart. */
  most?: number;
  height?: number;
  /** Without the labels of the axis of time. */
  bare?: boolean;
  text?: (v: number | null) => string;
  /** In the corner: what the values are. */
  note?: string;
  /** A click, or Enter, at an instant. */
  pick?: (at: number) => void;
  /** A click at a series in the legend. */
  choose?: (key: string, event: MouseEvent) => void;
  marks?: { at: number }[];
}

/** Left of the plot, so that charts stand below each other. */
const axisWidth = 52;
/** Right of it; the same in app.css. */
const edge = 18;

const sync = { off: false };

/** Average active sessions and the like over time. What was not seen is hatched. */
export function Chart(props: ChartProps) {
  const { times, series, stacked = false, text = num } = props;
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const [asTable, setAsTable] = useState(false);
  const [spoken, setSpoken] = useState("");

  const areas = series.filter((s) => stacked && !s.line), lines = series.filter((s) => !stacked || s.line);
  const drawn = [...areas.toReversed(), ...lines];
  const shape = drawn.map((s) => s.colour + (s.line || !stacked ? "|" : "")).join(" ");
  const data = useMemo(() => {
    const end = (times.at(-1) ?? props.from) + props.step;
    const closed = (values: Values) => [...values, values.at(-1) ?? null];
    const sums = stack(areas.map((s) => s.values)).toReversed();
    return [[...times, end].map((t) => t / 1000), ...sums.map(closed), ...lines.map((s) => closed(s.values))] as uPlot.AlignedData;
  }, [times, series, stacked]);

  useEffect(() => {
    if (asTable || !frame.current) return;
    const u = new uPlot(optionsOf(latest, drawn, frame.current.clientWidth), data, frame.current);
    plot.current = u;
    const size = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry!.contentRect.width);
      if (width > 0 && width !== u.width) u.setSize({ width, height: latest.current.height ?? 220 });
    });
    size.observe(frame.current);
    // Where it is clicked, also where no mouse came before, as on a touch screen.
    u.over.addEventListener("click", (e) => picked(latest.current, u.posToVal(e.clientX - u.over.getBoundingClientRect().left, "x") * 1000));
    return () => {
      size.disconnect();
      u.destroy();
      plot.current = null;
    };
  }, [asTable, shape, stacked, props.bare, props.height]);

  useEffect(() => {
    const u = plot.current;
    if (!u) return;
    u.setData(data, false);
    u.setScale("x", { min: props.from / 1000, max: props.to / 1000 });
  }, [data, props.from, props.to, props.limit?.value, asTable, shape]);

  useSignalEffect(() => {
    void theme.value;
    void zone.value;
    plot.current?.redraw(false, true);
  });
  useSignalEffect(() => {
    const at = cursor.value, u = plot.current;
    if (!u || sync.off) return;
    sync.off = true;
    u.setCursor({ left: at === null ? -10 : u.valToPos(at / 1000, "x"), top: at === null ? -10 : 1 }, false);
    sync.off = false;
  });
  useSignalEffect(() => {
    const marked = brush.value, u = plot.current;
    if (!u) return;
    const left = marked ? u.valToPos(marked.from / 1000, "x") : 0, right = marked ? u.valToPos(marked.to / 1000, "x") : 0;
    u.setSelect({ left, width: right - left, top: 0, height: marked ? u.over.clientHeight : 0 }, false);
  });

  const keys = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== event.currentTarget) return;
    const { step, from, to } = props, seen = times.findLast((_, i) => series.some((s) => (s.values[i] ?? null) !== null)), newest = seen ?? to - step;
    const had = cursor.value ?? newest;
    const moves: Record<string, number> = { ArrowLeft: had - step, ArrowRight: had + step, PageUp: had - 10 * step, PageDown: had + 10 * step, Home: from, End: newest };
    if (event.key in moves) {
      const next = Math.max(from, Math.min(to - 1, moves[event.key]!));
      if (event.shiftKey) {
        const fixed = brush.value ? (brush.value.from < had ? brush.value.from : brush.value.to) : had;
        brush.value = { from: Math.min(fixed, next), to: Math.max(fixed, next) };
      }
      cursor.value = snapped(props, next);
      setSpoken(`${instant(cursor.value)}: ${readout(series, times, cursor.value).map((r) => `${r.label} ${text(r.value)}`).join(", ") || "not seen"}`);
    } else if (event.key === "Enter" && cursor.value !== null) picked(props, cursor.value);
    else if (event.key === "Escape") brush.value = cursor.value = null;
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <figure class={`chart${props.bare ? " lane" : ""}`}>
      <figcaption>
        <b>{props.title}</b>
        <Legend {...props} />
        {props.note && <span class="note">{props.note}</span>}
        <button class="quiet" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>{asTable ? "chart" : "table"}</button>
      </figcaption>
      {asTable ? (
        <Table
          label={props.title}
          rows={times.map((at, i) => ({ at, i }))}
          id={(row) => String(row.at)}
          file={props.title}
          columns={[
            { id: "at", name: "from", value: (row) => new Date(row.at).toISOString(), cell: (row) => near(row.at) },
            ...series.map((s) => ({ id: s.key, name: s.label, number: true, value: (row: { i: number }) => s.values[row.i] ?? null, cell: (row: { i: number }) => text(s.values[row.i] ?? null) })),
          ]}
        />
      ) : (
        <div
          ref={frame}
          class="plot"
          tabIndex={0}
          role="group"
          aria-roledescription="chart"
          aria-label={`${props.title}: arrow keys move the cursor, with shift they mark a range, Enter opens the instant`}
          onKeyDown={keys}
          onMouseLeave={() => (cursor.value = null)}
        />
      )}
      <div class="off" aria-live="polite">{spoken}</div>
    </figure>
  );
}

/** The start of the bucket of an instant. */
function snapped({ times, from }: ChartProps, at: number): number {
  return times[bucketAt(times, at)] ?? from;
}

/** Opens the first second of a bucket: its end, for an instant is answered by the look before it. */
function picked(props: ChartProps, at: number): void {
  props.pick?.(snapped(props, at) + Math.min(props.step, 1000) - 1);
}

/** What the series are at an instant, those that are anything. */
function readout(series: ChartSeries[], times: number[], at: number): { key: string; label: string; value: number | null }[] {
  const i = bucketAt(times, at);
  return series.map((s) => ({ key: s.key, label: s.label, value: s.values[i] ?? null })).filter((r) => r.value !== null && r.value > 0);
}

/** Names and colours, and the values at the cursor. */
function Legend({ series, times, choose, text = num, stacked }: ChartProps) {
  const at = cursor.value, i = at === null ? -1 : bucketAt(times, at);
  const inside = i >= 0 && at !== null;
  const seen = inside && series.some((s) => (s.values[i] ?? null) !== null);
  const total = series.reduce((sum, s) => sum + (s.line ? 0 : (s.values[i] ?? 0)), 0);
  return (
    <span class="legend">
      {series.map((s) => (
        <button key={s.key} disabled={!choose || s.line} onClick={(e) => choose?.(s.key, e)} title={choose && !s.line ? "Only this; with Alt: all but this" : undefined}>
          <i class={s.line || !stacked ? "line" : ""} style={{ background: `var(${s.colour})` }} />
          {s.label}
          {inside && seen && <b> {text(s.values[i] ?? null)}</b>}
        </button>
      ))}
      {inside && (
        <span class="at">
          {near(times[i]!)}
          {seen ? stacked && series.length > 1 ? ` · ${text(total)}` : "" : " · not seen"}
        </span>
      )}
    </span>
  );
}

function optionsOf(latest: { current: ChartProps }, drawn: ChartSeries[], width: number): uPlot.Options {
  const { stacked, bare, height = 220 } = latest.current;
  const paths = uPlot.paths.stepped!({ align: 1, alignGaps: 1 } as uPlot.Series.SteppedPathBuilderOpts);
  const text = (v: number) => (latest.current.text ?? num)(v);
  const font = "11px system-ui, sans-serif";
  const axis = { stroke: () => valueOf("--muted"), font, ticks: { show: false }, grid: { stroke: () => valueOf("--grid"), width: 1 } };
  return {
    width: Math.max(width, 100),
    height,
    pxAlign: 1,
    padding: [6, edge, bare ? 2 : null, 0],
    legend: { show: false },
    tzDate: (seconds) => (zone.value === "utc" ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000)),
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
    select: { show: true, left: 0, top: 0, width: 0, height: 0 },
    scales: {
      x: { time: true, range: () => [latest.current.from / 1000, latest.current.to / 1000] },
      y: { range: (_u, _min, max) => [0, top(Math.max(max ?? 0, latest.current.most ?? 0), latest.current.limit?.value)] },
    },
    axes: [
      { ...axis, show: !bare, size: 24, space: 72, values: (_u, splits, _axis, _space, step) => splits.map((s) => label(s * 1000, step)) },
      { ...axis, size: axisWidth, space: 28, values: (_u, splits) => splits.map((v) => (bare && v === 0 ? "" : text(v))) },
    ],
    series: [
      {},
      ...drawn.map((s): uPlot.Series => {
        const isArea = stacked && !s.line;
        return {
          paths, points: { show: false }, spanGaps: false, width: isArea ? 0 : 1.25,
          fill: isArea ? () => valueOf(s.colour) : undefined, stroke: isArea ? undefined : () => valueOf(s.colour),
        };
      }),
    ],
    hooks: {
      drawAxes: [(u) => hatch(u, latest.current)],
      draw: [(u) => over(u, latest.current)],
      setCursor: [
        (u) => {
          if (sync.off || u.cursor.left === undefined || u.cursor.left < 0) return;
          sync.off = true; // this chart has its cursor already
          cursor.value = snapped(latest.current, u.posToVal(u.cursor.left, "x") * 1000);
          sync.off = false;
        },
      ],
      setSelect: [
        (u) => {
          const from = u.posToVal(u.select.left, "x") * 1000, to = u.posToVal(u.select.left + u.select.width, "x") * 1000;
          brush.value = u.select.width < 4 ? null : { from: Math.round(from / 1000) * 1000, to: Math.round(to / 1000) * 1000 };
        },
      ],
    },
  };
}

/** How high the axis goes: a little above the values, and to the limit where that is near. */
function top(max: number | null, limit: number | undefined): number {
  const most = Math.max(max ?? 0, 0.1);
  return (limit !== undefined && limit <= most * 4 ? Math.max(most, limit) : most) * 1.08;
}

function label(at: number, step: number): string {
  if (step >= 86400) return date(at).slice(5);
  const time = step < 60 ? clock(at) : hourMinute(at);
  return hourMinute(at) === "00:00" && step >= 60 ? date(at).slice(5) : time;
}

let pattern: { colour: string; of: CanvasPattern } | null = null;

function hatching(context: CanvasRenderingContext2D): CanvasPattern {
  const colour = valueOf("--hatch"), size = 8;
  if (pattern?.colour !== colour) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = size;
    const c = tile.getContext("2d")!;
    c.strokeStyle = colour;
    c.lineWidth = 1.5;
    for (const shift of [-size, 0, size]) {
      c.moveTo(shift, size);
      c.lineTo(shift + size, 0);
    }
    c.stroke();
    pattern = { colour, of: context.createPattern(tile, "repeat")! };
  }
  return pattern.of;
}

/** Marks what nobody has looked at, below the values. */
function hatch(u: uPlot, { times, step, series, from, to }: ChartProps): void {
  const { left, top, width, height } = u.bbox;
  u.ctx.save();
  u.ctx.fillStyle = hatching(u.ctx);
  const fill = (a: number, b: number) => {
    const x1 = Math.max(left, u.valToPos(a / 1000, "x", true)), x2 = Math.min(left + width, u.valToPos(b / 1000, "x", true));
    if (x2 > x1) u.ctx.fillRect(x1, top, x2 - x1, height);
  };
  for (const [a, b] of gaps(series.map((s) => s.values), times.length)) fill(times[a]!, times[b] ?? times[b - 1]! + step);
  if (times.length === 0 || times[0]! > from) fill(from, times[0] ?? to);
  u.ctx.restore();
}

/** Draws the limit and the marks, over the values. */
function over(u: uPlot, { limit, marks }: ChartProps): void {
  const { left, top, width, height } = u.bbox, c = u.ctx;
  c.save();
  c.lineWidth = devicePixelRatio;
  c.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const mark of marks ?? []) {
    const x = u.valToPos(mark.at / 1000, "x", true);
    if (x < left || x > left + width) continue;
    c.strokeStyle = valueOf("--mark");
    c.beginPath();
    c.moveTo(x, top);
    c.lineTo(x, top + height);
    c.stroke();
  }
  if (limit && limit.value <= (u.scales.y!.max ?? 0)) {
    const y = u.valToPos(limit.value, "y", true);
    c.strokeStyle = c.fillStyle = valueOf("--limit");
    c.beginPath();
    c.moveTo(left, y);
    c.lineTo(left + width, y);
    c.stroke();
    c.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    c.textAlign = "right";
    c.fillText(limit.label, left + width - 4, y - 4 * devicePixelRatio);
  }
  c.restore();
}
