import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { cursor } from "../lib/route";
import { age, clock, date, hourMinute, near } from "../lib/time";
import { Table } from "./table";

export interface Bar {
  from: number; // milliseconds
  to: number;
  /** did: as coloured; idle: looked at, and nothing; unseen: nobody looked, hatched. */
  kind: "did" | "idle" | "unseen";
  /** A variable of the style sheet. */
  colour?: string;
  text: string;
  query?: string | null;
  /** Somebody waited for it. */
  mark?: boolean;
}

export interface GanttRow {
  id: string;
  /** Left of the bars, short. */
  name: string;
  /** Above them. */
  head?: ComponentChildren;
  bars: Bar[];
}

/** The same as of charts: left of the plot, and right of it. */
const height = 18;

/** What several did at the same time, a row each, on one axis of time. */
export function Gantt(props: {
  title: string;
  from: number;
  to: number;
  rows: GanttRow[];
  legend?: { colour: string; label: string }[];
  /** A part of the axis that is meant, such as an episode. */
  marked?: { from: number; to: number };
  /** A click, or Enter, at an instant. */
  pick?: (at: number) => void;
}) {
  const { title, from, to, rows, marked, pick } = props;
  const [asTable, setAsTable] = useState(false);
  const [active, setActive] = useState<[number, number]>([0, -1]);
  const [over, setOver] = useState<string | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const share = (at: number) => `${(100 * (Math.max(from, Math.min(to, at)) - from)) / (to - from)}%`;
  const inside = (bars: Bar[]) => bars.filter((b) => b.to > from && b.from < to);
  const chosen = inside(rows[active[0]]?.bars ?? [])[active[1]];

  const keys = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== event.currentTarget || rows.length === 0) return;
    const [row, bar] = active, count = inside(rows[row]?.bars ?? []).length;
    const go = (nextRow: number, nextBar: number) => {
      const r = Math.max(0, Math.min(rows.length - 1, nextRow)), bars = inside(rows[r]!.bars);
      // Another row: the bar at the same time.
      const at = r === row || !chosen ? nextBar : bars.findIndex((b) => b.to > Math.max(from, chosen.from));
      const b = Math.max(0, Math.min(bars.length - 1, at));
      setActive([r, b]);
      if (bars[b]) cursor.value = Math.max(from, bars[b].from);
    };
    switch (event.key) {
      case "ArrowRight": go(row, bar + 1); break;
      case "ArrowLeft": go(row, bar - 1); break;
      case "ArrowDown": go(row + 1, Math.max(0, bar)); break;
      case "ArrowUp": go(row - 1, Math.max(0, bar)); break;
      case "Home": go(row, 0); break;
      case "End": go(row, count - 1); break;
      case "Enter": if (chosen) pick?.(Math.max(from, chosen.from) + 999); break;
      case "Escape": setActive([row, -1]); break;
      default: return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const instantOf = (event: MouseEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return from + ((event.clientX - box.left) / Math.max(1, box.width)) * (to - from);
  };
  const told = (name: string, b: Bar) => `${name}, ${near(b.from)} for ${age((b.to - b.from) / 1000)}: ${b.text}${b.query ? " · " + b.query : ""}`;
  const readout = over ?? (chosen ? told(rows[active[0]]!.name, chosen) : null);

  return (
    <figure class="gantt">
      <figcaption>
        <b>{title}</b>
        <span class="legend">
          {props.legend?.map((l) => <span key={l.colour}><i style={{ background: `var(${l.colour})` }} />{l.label}</span>)}
          <span><i class="idle" />idle, or not there</span>
          <span><i class="unseen" />not seen</span>
        </span>
        <button class="quiet end" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>{asTable ? "bars" : "table"}</button>
      </figcaption>
      {asTable ? (
        <Table
          label={title}
          file={title}
          rows={rows.flatMap((r) => inside(r.bars).map((b, i) => ({ ...b, id: r.id + i, name: r.name })))}
          id={(b) => b.id}
          open={pick && ((b) => pick(b.from + 999))}
          columns={[
            { id: "name", name: "session", value: (b) => b.name },
            { id: "from", name: "from", value: (b) => new Date(b.from).toISOString(), cell: (b) => near(b.from) },
            { id: "length", name: "for", number: true, value: (b) => (b.to - b.from) / 1000, cell: (b) => age((b.to - b.from) / 1000) },
            { id: "text", name: "did", value: (b) => b.text },
            { id: "query", name: "statement", wide: true, level: 2, value: (b) => b.query ?? null, cell: (b) => <span class="sql" title={b.query ?? ""}>{b.query ?? ""}</span> },
          ]}
        />
      ) : (
        <div
          ref={frame} class="gantt-rows" tabIndex={0} role="group" aria-roledescription="chart" onKeyDown={keys}
          aria-label={`${title}: arrow keys go from span to span and from session to session, Enter opens the instant`}
        >
          {rows.map((r, n) => (
            <div class="gantt-row" key={r.id}>
              {r.head && <div class="gantt-head">{r.head}</div>}
              <span class="lane-title" title={r.name}>{r.name}</span>
              <svg
                height={height} width="100%" aria-hidden="true"
                onMouseMove={(e) => {
                  const at = instantOf(e), b = r.bars.find((b) => at >= b.from && at < b.to);
                  cursor.value = at;
                  setOver(b ? told(r.name, b) : `${r.name}, ${near(at)}: not asked`);
                }}
                onMouseLeave={() => {
                  cursor.value = null;
                  setOver(null);
                }}
                onClick={(e) => pick?.(instantOf(e))}
              >
                {n === 0 && (
                  <defs>
                    <pattern id="gantt-hatch" width="8" height="8" patternUnits="userSpaceOnUse"><path d="M-2 10 L10 -2 M-2 2 L2 -2 M6 10 L10 6" /></pattern>
                  </defs>
                )}
                <rect class="base" x="0" y={height / 2 - 0.5} width="100%" height="1" />
                {inside(r.bars).map((b, i) => {
                  const width = `${(100 * (Math.min(to, b.to) - Math.max(from, b.from))) / (to - from)}%`;
                  const look = { x: share(b.from), width, class: `${b.kind}${active[0] === n && active[1] === i ? " active" : ""}` };
                  return b.kind === "did" ? (
                    <rect key={b.from} {...look} y="1" height={height - 2} style={{ fill: `var(${b.colour ?? "--c-other"})` }} />
                  ) : b.kind === "unseen" ? (
                    <rect key={b.from} {...look} y="1" height={height - 2} fill="url(#gantt-hatch)" />
                  ) : (
                    <rect key={b.from} {...look} y={height / 2 - 3} height="6" />
                  );
                })}
                {inside(r.bars).filter((b) => b.mark).map((b) => (
                  <rect key={b.from} class="holds" x={share(b.from)} width={`${(100 * (Math.min(to, b.to) - Math.max(from, b.from))) / (to - from)}%`} y={height - 3} height="3" />
                ))}
                {marked && [marked.from, marked.to].map((at) => at > from && at < to && <line key={at} class="mark" x1={share(at)} x2={share(at)} y1="0" y2={height} />)}
                <At share={share} from={from} to={to} />
              </svg>
            </div>
          ))}
          <Axis from={from} to={to} share={share} />
        </div>
      )}
      <p class="gantt-said" aria-live="polite">{readout ?? " "}</p>
    </figure>
  );
}

/** The cursor that all charts share. */
function At({ share, from, to }: { share: (at: number) => string; from: number; to: number }) {
  const at = cursor.value;
  return at === null || at < from || at > to ? null : <line class="cursor" x1={share(at)} x2={share(at)} y1="0" y2={height} />;
}

/** Instants that are round, some of them. */
function Axis({ from, to, share }: { from: number; to: number; share: (at: number) => string }) {
  const steps = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 7 * 86400].map((s) => s * 1000);
  const most = Math.max(2, Math.min(8, Math.floor(innerWidth / 170))), step = steps.find((s) => (to - from) / s <= most) ?? steps.at(-1)!;
  const list: number[] = [];
  for (let at = Math.ceil(from / step) * step; at < to; at += step) list.push(at);
  const text = (at: number) => (step >= 86400e3 ? date(at).slice(5) : step < 60e3 ? clock(at) : hourMinute(at));
  return (
    <div class="gantt-axis" aria-hidden="true">
      {list.map((at) => <span key={at} style={{ left: share(at) }}>{text(at)}</span>)}
    </div>
  );
}
