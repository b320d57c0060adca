import { useMemo } from "preact/hooks";
import { drawingOf } from "../lib/activity";
import { useAnswer } from "../lib/api";
import { copy, csv, save } from "../lib/copy";
import { num } from "../lib/format";
import { useKeys } from "../lib/keys";
import {
  brush, cursor, dimensionNames, dimensionOf, dimensions, filterQuery, go, here, href, iso, query, range, serverPath, spanOf, toggleFilter,
} from "../lib/route";
import { age, spanText } from "../lib/time";
import { Chart, type ChartSeries } from "../ui/chart";
import { Asked } from "../ui/empty";
import { CoverageLane, EventLane } from "../ui/lanes";
import { InstantPanel } from "./instant";
import type { Page } from "./page";
import { Tops } from "./tops";

/** A whole number of seconds, minutes or hours that gives a few hundred buckets. */
export function stepOf(length: number, buckets: number, atLeast = 1): string {
  const least = Math.max(length / buckets / 1000, atLeast);
  const step = [1, 5, 15, 60, 300, 600, 3600, 4 * 3600, 86400].find((s) => s >= least) ?? 86400;
  return `${step}s`;
}

function Load({ params }: { params: Record<string, string> }) {
  const name = params.name!, { from, to } = range.value;
  const by = dimensionOf("by", "wait_class");
  const span = { from: iso(from), to: iso(to) };
  const activity = useAnswer("/api/v1/servers/{name}/history/activity", { name }, { ...span, group_by: by, ...filterQuery() });
  const peak = query.value.get("peak") === "1";
  const drawing = useMemo(() => activity.data && drawingOf(activity.data), [activity.data]);
  // What is below the first chart waits for it: it is what people look at first.
  const second = activity.data ? ({ name } as { name: string }) : null;
  const coverage = useAnswer(second && "/api/v1/servers/{name}/history/coverage", { name }, { ...span, step: stepOf(to - from, 360, 60) });
  const events = useAnswer(second && "/api/v1/servers/{name}/history/events", { name }, { ...span, limit: 200 });
  const databases = useAnswer(second && "/api/v1/servers/{name}/history/databases", { name }, { ...span, step: stepOf(to - from, 360) });
  const fleet = useAnswer(second && "/api/v1/fleet", {}, { server: name });
  const most = fleet.data?.servers[0]?.max_connections ?? null;
  const at = Date.parse(query.value.get("at") ?? "");
  const pick = (t: number) => go(here({ at: iso(t) }));

  useKeys(
    [
      ...dimensions.map((d, i) => ({ key: String(i + 1), does: `by ${dimensionNames[d]}`, run: () => go(here({ by: d })) })),
      { key: ".", does: "next event", run: () => nextEvent(events.data?.items.map((e) => Date.parse(e.at)) ?? []) },
      { key: "c", does: "compare with as long before", run: () => compareBefore() },
      { key: "e", does: "export the chart as CSV", run: () => drawing && exported(name, drawing.times, drawing.series) },
      { key: "Escape", does: "let go of the marked range, and of the instant", run: () => (brush.value ? (brush.value = null) : go(here({ at: null }))) },
    ],
    [events.data, drawing, name],
  );
  const connections = useMemo(() => databases.data && connectionsOf(databases.data), [databases.data]);
  return (
    <>
      <div class="tools">
        <span class="segments" role="group" aria-label="sessions by">
          {dimensions.map((d, i) => (
            <a key={d} href={here({ by: d === "wait_class" ? null : d })} aria-current={d === by ? "true" : undefined} title={`By ${dimensionNames[d]}  ${i + 1}`}>{dimensionNames[d]}</a>
          ))}
        </span>
        <a class="button" href={here({ peak: peak ? null : "1" })} role="button" aria-pressed={peak} title="The most sessions in one tick of each bucket">{peak ? "✓ " : ""}peak</a>
        <Brushed name={name} />
      </div>
      <Asked answer={activity} lines={10}>
        {(data) => {
          const d = drawing!;
          const cpus = data.cpu_count;
          return (
            <Chart
              title="Active sessions" stacked from={from} to={to} times={d.times} step={d.step} note={d.note} height={260}
              series={peak ? [...d.series, d.peak] : d.series} pick={pick} marks={events.data?.items.map((e) => ({ at: Date.parse(e.at) }))}
              limit={cpus ? { value: cpus, label: `CPUs: ${cpus}` } : null}
              choose={(key, e) => key !== "(other)" && toggleFilter({ dimension: by, value: key, not: e.altKey })}
            />
          );
        }}
      </Asked>
      {coverage.data && <CoverageLane body={coverage.data} from={from} to={to} />}
      {events.data && <EventLane events={events.data.items} from={from} to={to} pick={pick} />}
      {connections && (
        <Chart
          bare title="Connections" from={from} to={to} times={connections.times} step={connections.step} series={connections.series} height={64}
          limit={most ? { value: most, label: `max_connections ${most}` } : null} note={most ? `of ${num(most)}` : undefined} pick={pick}
        />
      )}
      {!Number.isNaN(at) && <InstantPanel name={name} at={at} />}
      {second && <Tops name={name} />}
    </>
  );
}

/** What can be done with a marked range. */
function Brushed({ name }: { name: string }) {
  const marked = brush.value;
  if (!marked) return <span class="muted hint">Drag over a chart to mark a range; click it for the sessions of a second.</span>;
  const middle = (marked.from + marked.to) / 2;
  const done = (run: () => void) => () => {
    run();
    brush.value = null;
  };
  return (
    <span class="brushed" role="group" aria-label="the marked range">
      <b>{spanText(marked.from, marked.to)}</b> <span class="muted">{age((marked.to - marked.from) / 1000)}</span>
      <button onClick={done(() => go(here(spanOf(marked.from, marked.to))))}>Zoom <kbd>+</kbd></button>
      <button onClick={done(() => go(here({ ...spanOf(marked.from, marked.to), compare: "before" })))}>Compare with before</button>
      <button onClick={done(() => go(href(serverPath(name, "incident"), { at: iso(middle), window: windowOf(marked.to - marked.from) })))}>Incident</button>
      <button onClick={() => void copy(new URL(here(spanOf(marked.from, marked.to)), location.href).href, "the link")}>Copy link</button>
      <button class="quiet" onClick={done(() => undefined)} aria-label="let go of the range">×</button>
    </span>
  );
}

/** A window that an incident can have, around a length of time. */
function windowOf(length: number): string {
  return `${Math.max(1, Math.min(120, Math.ceil(length / 60e3)))}m`;
}

function compareBefore(): void {
  const marked = brush.peek();
  brush.value = null;
  go(here({ ...(marked ? spanOf(marked.from, marked.to) : {}), compare: query.peek().get("compare") && !marked ? null : "before" }));
}

function nextEvent(times: number[]): void {
  const { from, to } = range.peek(), had = cursor.peek() ?? from - 1;
  const inside = times.filter((t) => t >= from && t < to).sort((a, b) => a - b);
  const next = inside.find((t) => t > had + 999) ?? inside[0];
  if (next === undefined) return;
  cursor.value = next;
  go(here({ at: iso(next) }), true);
}

function exported(name: string, times: number[], series: ChartSeries[]): void {
  const rows = times.map((t, i) => [iso(t), ...series.map((s) => s.values[i] ?? null)]);
  save(`${name} ${iso(times[0] ?? 0)}.csv`, "text/csv", csv([["from", ...series.map((s) => s.label)], ...rows]));
}

/** Connections of all databases together: on average, and the most. */
function connectionsOf(body: { times: string[]; step_seconds: number; databases: { connections: (number | null)[]; max_connections: (number | null)[] }[] }) {
  const sum = (of: (d: (typeof body.databases)[number]) => (number | null)[]) =>
    body.times.map((_, i) => body.databases.reduce<number | null>((total, d) => (of(d)[i] === null ? total : (total ?? 0) + of(d)[i]!), null));
  return {
    times: body.times.map((t) => Date.parse(t)),
    step: body.step_seconds * 1000,
    series: [{ key: "connections", label: "connections", colour: "--c-io", values: sum((d) => d.connections) }],
  };
}

export const load: Page = { path: "s/{name}", title: (p) => p.name ?? "Load", tab: "Load", key: "l", ranged: true, view: Load };
