// The two lists below the chart: what took the time of its range.
import type { CompareRow, TopRow } from "../schema";
import { labelOf } from "../lib/activity";
import { useAnswer } from "../lib/api";
import { num, percent, plural } from "../lib/format";
import { classColour } from "../lib/palette";
import { dimensionNames, dimensionOf, dimensions, filterQuery, go, here, href, iso, query, range, serverPath, toggleFilter, type Dimension } from "../lib/route";
import { spanText } from "../lib/time";
import { Bar } from "../ui/bar";
import { Asked, Empty } from "../ui/empty";
import { Table, type Column } from "../ui/table";

export function Tops({ name }: { name: string }) {
  const back = backOf();
  return (
    <>
      {back !== null && (
        <p class="comparing">
          <label>
            Compared with{" "}
            <select value={query.value.get("compare")!} onChange={(e) => go(here({ compare: e.currentTarget.value }), true)}>
              {Object.entries(backs).map(([key, [text]]) => <option key={key} value={key}>{text}</option>)}
            </select>
          </label>
          , {spanText(range.value.from - back, range.value.to - back)}. <a href={here({ compare: null })}>Stop comparing</a>
        </p>
      )}
      <div class="two">
        {(["top", "also"] as const).map((place, i) => {
          const by = dimensionOf(place, i === 0 ? "query" : "application");
          return (
            <section key={place}>
              <h2>
                <label>
                  Top by{" "}
                  <select value={by} onChange={(e) => go(here({ [place]: e.currentTarget.value }), true)}>
                    {dimensions.map((d) => <option key={d} value={d}>{dimensionNames[d]}</option>)}
                  </select>
                </label>
              </h2>
              {back !== null ? <Compared name={name} by={by} back={back} /> : <Top name={name} by={by} />}
            </section>
          );
        })}
      </div>
    </>
  );
}

/** What a range is compared with, and how long before it begins; 0: as long as it is. */
const backs: Record<string, [string, number]> = { before: ["as long before", 0], day: ["the day before", 86400e3], week: ["the week before", 7 * 86400e3] };

function backOf(): number | null {
  const length = backs[query.value.get("compare") ?? ""]?.[1];
  return length === undefined ? null : length || range.value.to - range.value.from;
}

const filterOn = (by: Dimension) => (row: { key: string | null }, event: MouseEvent | KeyboardEvent) =>
  toggleFilter({ dimension: by, value: row.key ?? "", not: event.altKey });

/** The value of a row; a wait with the colour of its class. */
function Value({ name, by, row }: { name: string; by: Dimension; row: TopRow | CompareRow }) {
  const wait = by === "wait_class" ? row.key : row.wait_class;
  const text = labelOf(by, row);
  return (
    <span class={by === "query" ? "sql" : ""} title={text}>
      {by === "query" && row.key && <a class="to" href={href(serverPath(name, "q/" + row.key))} title="The query's own page" aria-label="the query's own page">↗</a>}
      {wait && <i class="dot" style={{ background: `var(${classColour(wait)})` }} />}
      {text}
    </span>
  );
}

/** only: the filter instead of that of the address. */
export function Top({ name, by, only = filterQuery() }: { name: string; by: Dimension; only?: Record<string, string[]> }) {
  const { from, to } = range.value;
  const answer = useAnswer("/api/v1/servers/{name}/history/top", { name }, { from: iso(from), to: iso(to), by, limit: 20, split: "wait_class", ...only });
  return (
    <Asked answer={answer} lines={6}>
      {(data) => {
        if (data.rows.length === 0) return <Empty title={data.answered_ticks === 0 ? "Nobody has looked at this range" : "No session was active"} />;
        const most = Math.max(...data.rows.map((r) => r.average_active_sessions));
        const columns: Column<TopRow>[] = [
          { id: "key", name: dimensionNames[by], wide: true, value: (r) => labelOf(by, r), cell: (r) => <Value name={name} by={by} row={r} /> },
          { id: "bar", name: "by wait", value: (r) => r.average_active_sessions, level: 2, cell: (r) => <Bar total={r.average_active_sessions} of={most} split={r.by_wait_class} /> },
          { id: "aas", name: "sessions", title: "Average active sessions", number: true, value: (r) => r.average_active_sessions, cell: (r) => num(r.average_active_sessions) },
          { id: "share", name: "share", number: true, value: (r) => r.share, cell: (r) => percent(r.share) },
          { id: "max", name: "most", title: "Most sessions in one tick", number: true, level: 2, value: (r) => r.max_sessions, cell: (r) => num(r.max_sessions) },
        ];
        return (
          <>
            <Table label={`top by ${dimensionNames[by]}`} file={`top-${by}`} rows={data.rows} columns={columns} id={(r) => r.key ?? "(none)"} open={filterOn(by)} />
            {data.other.samples > 0 && (
              <p class="muted rest">
                and {plural(data.other.keys, "more", "more")}: {num(data.other.average_active_sessions)} sessions, {percent(data.other.share)}
              </p>
            )}
          </>
        );
      }}
    </Asked>
  );
}

function Compared({ name, by, back }: { name: string; by: Dimension; back: number }) {
  const { from, to } = range.value;
  const answer = useAnswer("/api/v1/servers/{name}/history/compare", { name }, { from: iso(from), to: iso(to), other_from: iso(from - back), by, limit: 20, ...filterQuery() });
  return (
    <Asked answer={answer} lines={6}>
      {(data) => {
        if (data.rows.length === 0) return <Empty title="No session was active in either range" />;
        const columns: Column<CompareRow>[] = [
          { id: "key", name: dimensionNames[by], wide: true, value: (r) => labelOf(by, r), cell: (r) => <Value name={name} by={by} row={r} /> },
          { id: "now", name: "now", number: true, value: (r) => r.range?.average_active_sessions ?? null, cell: (r) => num(r.range?.average_active_sessions) },
          { id: "before", name: "before", number: true, value: (r) => r.other_range?.average_active_sessions ?? null, cell: (r) => num(r.other_range?.average_active_sessions) },
          {
            id: "change", name: "change", number: true, value: (r) => r.change,
            cell: (r) => (r.change === null ? <span class="muted">not seen before</span> : <span class={r.change > 0 ? "warn" : ""}>{r.change > 0 ? "+" : r.change < 0 ? "−" : ""}{num(Math.abs(r.change))}</span>),
          },
        ];
        return <Table label={`compared by ${dimensionNames[by]}`} file={`compare-${by}`} rows={data.rows} columns={columns} id={(r) => r.key ?? "(none)"} open={filterOn(by)} />;
      }}
    </Asked>
  );
}
