// Which databases nobody uses, of a server or of all, and what one does.
import { useMemo } from "preact/hooks";
import type { DatabasesBody, DatabaseUseRow } from "../schema";
import { drawingOf } from "../lib/activity";
import { addressOf, useAnswer } from "../lib/api";
import { bytes, num, plural, short } from "../lib/format";
import { go, here, href, iso, query, range, root, serverPath } from "../lib/route";
import type { Values } from "../lib/stack";
import { age, near, spanText } from "../lib/time";
import { Chart } from "../ui/chart";
import { Asked, Empty } from "../ui/empty";
import { Table, type Column } from "../ui/table";
import { stepOf } from "./load";
import type { Page } from "./page";
import { Top } from "./tops";

/** Of longer ranges sums are asked for, which tell of a database alone. */
const whole = 6 * 3600e3;

type Class = DatabaseUseRow["class"];

const classes: Record<Class, { name: string; means: string; tone: string }> = {
  unused: { name: "unused", means: "nobody has connected for some days", tone: "bad" },
  static: { name: "static", means: "somebody connects; nothing is written, little committed", tone: "warn" },
  low: { name: "little used", means: "little is committed", tone: "warn" },
  healthy: { name: "used", means: "all others", tone: "" },
  dropped: { name: "dropped", means: "it is gone", tone: "muted" },
  unknown: { name: "not known yet", means: "it was not watched for long enough to tell", tone: "muted" },
};
const order = Object.keys(classes) as Class[];

/** What a class is judged by, as the API names it. */
const criteria = [
  { id: "unused_days", name: "unused after", unit: "days without a connection", step: 1, least: 1 },
  { id: "static_commits_per_hour", name: "static up to", unit: "commits an hour, nothing written", step: "any", least: 0 },
  { id: "low_commits_per_hour", name: "little used up to", unit: "commits an hour", step: "any", least: 0 },
] as const;

/** Days that it can be told of; by default the API's thirty. The range of other pages is too short to tell. */
const spans = [7, 14, 90, 365];

/** More databases than this are told of by the API only. */
const most = 1000;

/** A database's page. */
const databaseLink = (row: DatabaseUseRow) => href(serverPath(row.server, "databases/" + encodeURIComponent(row.database)), { last: "7d" }, []);

function written(r: DatabaseUseRow): number | null {
  const parts = [r.rows_inserted, r.rows_updated, r.rows_deleted];
  return parts.includes(null) ? null : parts.reduce<number>((sum, n) => sum + n!, 0);
}

function columns(fleet: boolean): Column<DatabaseUseRow>[] {
  const server: Column<DatabaseUseRow> = { id: "server", name: "Server", wide: true, value: (r) => r.server, cell: (r) => <a href={href(serverPath(r.server, "databases"))}>{r.server}</a> };
  return [
    { id: "database", name: "Database", wide: true, value: (r) => r.database, cell: (r) => <a class="name" href={databaseLink(r)} title={r.database}>{r.database}</a> },
    ...(fleet ? [server] : []),
    {
      id: "class", name: "Use", value: (r) => classes[r.class].name,
      cell: (r) => (
        <span class={classes[r.class].tone} title={classes[r.class].means}>
          {classes[r.class].name}
          {r.monitored_through && <span class="muted" title="pgam itself is connected to it, which looks like use"> (pgam's)</span>}
        </span>
      ),
    },
    { id: "size", name: "Size", number: true, value: (r) => r.size_bytes, cell: (r) => bytes(r.size_bytes) },
    { id: "growth", name: "Growth", number: true, level: 3, title: "Over the range", value: (r) => r.growth_bytes, cell: (r) => bytes(r.growth_bytes) },
    {
      id: "last", name: "Last connection", number: true, level: 2, title: "To the hour", value: (r) => (r.last_connection_at === null ? null : Date.parse(r.last_connection_at)),
      cell: (r) => (r.last_connection_at === null ? <span class="muted">none in the range</span> : near(Date.parse(r.last_connection_at))),
    },
    { id: "connections", name: "Connections", number: true, level: 3, title: "On average", value: (r) => r.connections_average, cell: (r) => num(r.connections_average) },
    { id: "commits", name: "Commits/h", number: true, level: 2, title: "Autovacuum's too", value: (r) => r.commits_per_hour, cell: (r) => num(r.commits_per_hour) },
    { id: "written", name: "Rows written", number: true, level: 3, value: written, cell: (r) => short(written(r)) },
    { id: "seen", name: "Watched", number: true, level: 4, title: "Days of the range in which it was looked at", value: (r) => r.seen_days, cell: (r) => age(r.seen_days * 86400) },
  ];
}

function Databases({ params }: { params: Record<string, string> }) {
  const name = params.name, chosen = query.value.get("class") as Class | null;
  const over = Number(query.value.get("over")), hour = useMemo(() => Math.floor(Date.now() / 3600e3) * 3600e3, [name, over]);
  const span = { from: spans.includes(over) ? iso(hour - over * 86400e3) : null };
  const asked = { ...span, ...Object.fromEntries(criteria.map((c) => [c.id, query.value.get(c.id)])), class: chosen };
  const path = name === undefined ? "/api/v1/fleet/databases" : "/api/v1/servers/{name}/databases";
  const answer = useAnswer(path, name === undefined ? {} : { name }, { ...asked, limit: most });
  const columnsNow = useMemo(() => columns(name === undefined), [name]);
  return (
    <Asked answer={answer} lines={8}>
      {(data) => (
        <>
          <Sum data={data} />
          <Choice data={data} chosen={chosen} csv={addressOf(path, name === undefined ? {} : { name }, { ...asked, format: "csv" })} />
          {data.databases.length === 0 ? (
            <Empty title={chosen ? "No database is of this kind" : "No database is known yet"}>
              {chosen ? <a href={here({ class: null })}>Show all</a> : <p>A server's databases are listed when it is first looked at; <a href={href(root + "servers", {}, [])}>how that goes</a>.</p>}
            </Empty>
          ) : (
            <Table main label="databases" rows={data.databases} columns={columnsNow} id={(r) => `${r.server}/${r.database}/${r.first_seen_at}`} open={(r) => go(databaseLink(r))} rowClass={(r) => (r.class === "dropped" ? "muted" : "")} />
          )}
          {data.next_cursor && <p class="muted rest">The largest {num(most)} of {num(data.databases_total)} are shown; the CSV has all.</p>}
        </>
      )}
    </Asked>
  );
}

/** What could go, in a sentence. */
function Sum({ data }: { data: DatabasesBody }) {
  const all = order.filter((c) => c !== "dropped").reduce((n, c) => n + (data.by_class[c]?.databases ?? 0), 0);
  const unused = data.by_class.unused?.databases ?? 0, unknown = data.by_class.unknown?.databases ?? 0;
  return (
    <div class="tools">
      <h1>{unused === 0 ? `None of ${plural(all, "database")} is known to be unused` : `${num(unused)} of ${plural(all, "database")} unused: ${bytes(data.reclaimable_bytes)} could go`}</h1>
      <span class="muted">
        {spanText(Date.parse(data.from), Date.parse(data.to))}
        {unknown > 0 && `; ${num(unknown)} not watched for long enough to tell`}
      </span>
    </div>
  );
}

/** The classes to choose from, and what they are judged by; all of it is in the address. */
function Choice({ data, chosen, csv }: { data: DatabasesBody; chosen: Class | null; csv: string }) {
  return (
    <div class="tools">
      <span class="segments" role="group" aria-label="use">
        <a href={here({ class: null })} aria-current={chosen ? undefined : "true"}>all</a>
        {order.map((c) => (
          <a key={c} href={here({ class: c })} aria-current={chosen === c ? "true" : undefined} title={`${classes[c].means}; ${bytes(data.by_class[c]?.size_bytes)}`}>
            {classes[c].name} {num(data.by_class[c]?.databases)}
          </a>
        ))}
      </span>
      {criteria.map((c) => (
        <label key={c.id} title={c.unit}>
          {c.name}{" "}
          <input class="figure" type="number" min={c.least} step={c.step} required value={data.criteria[c.id]} onChange={(e) => e.currentTarget.reportValidity() && go(here({ [c.id]: e.currentTarget.value }), true)} /> <span class="muted">{c.unit}</span>
        </label>
      ))}
      <label>
        over{" "}
        <select value={query.value.get("over") ?? ""} onChange={(e) => go(here({ over: e.currentTarget.value || null }), true)}>
          {[7, 14, null, 90, 365].map((d) => <option key={d} value={d ?? ""}>{d ?? 30} days</option>)}
        </select>
      </label>
      <a class="button" href={csv} download>CSV</a>
    </div>
  );
}

function Database({ params }: { params: Record<string, string> }) {
  const name = params.name!, database = params.database!, { from, to } = range.value;
  const span = { from: iso(from), to: iso(to) }, only = { database: [database] }, long = to - from > whole;
  const activity = useAnswer("/api/v1/servers/{name}/history/activity", { name }, { ...span, ...only, ...(long && { group_by: "database" }) });
  const rates = useAnswer("/api/v1/servers/{name}/history/databases", { name }, { ...span, step: stepOf(to - from, 360, 10) });
  const sizes = useAnswer("/api/v1/servers/{name}/history/sizes", { name }, { ...span, step: stepOf(to - from, 360, 600) });
  const drawing = useMemo(() => activity.data && drawingOf(activity.data), [activity.data]);
  const frame = { from, to };
  return (
    <>
      <div class="tools">
        <h1>{database}</h1>
        <a class="button" href={href(serverPath(name), { f: `database:${database}` })}>Load of this database</a>
      </div>
      <Asked answer={activity} lines={6}>
        {() => <Chart title="Active sessions" stacked {...frame} times={drawing!.times} step={drawing!.step} series={drawing!.series} note={drawing!.note} height={160} />}
      </Asked>
      <Asked answer={rates} lines={6}>
        {(data) => {
          const row = data.databases.find((d) => d.database === database);
          if (!row) return <Empty title="It was not seen in this range"><a href={href(serverPath(name, "databases"))}>All databases</a></Empty>;
          const times = data.times.map((t) => Date.parse(t)), step = data.step_seconds * 1000;
          const line = (key: string, label: string, colour: string, values: Values) => ({ key, label, colour, values });
          return (
            <>
              <Chart title="Connections" {...frame} times={times} step={step} height={100} series={[line("connections", "on average", "--c-io", row.connections), line("max", "at most", "--c-client", row.max_connections)]} />
              <Chart title="Transactions a second" {...frame} times={times} step={step} height={100} series={[line("commits", "commits", "--c-cpu", row.commits_per_second), line("rollbacks", "rollbacks", "--c-lock", row.rollbacks_per_second)]} />
            </>
          );
        }}
      </Asked>
      <Asked answer={sizes}>
        {(data) => {
          const values = data.databases.find((d) => d.database === database)?.size_bytes;
          return values ? <Chart title="Size" {...frame} times={data.times.map((t) => Date.parse(t))} step={data.step_seconds * 1000} height={100} text={bytes} series={[{ key: "size", label: "on disk", colour: "--c-io", values }]} /> : null;
        }}
      </Asked>
      <section>
        <h2>What was run in it</h2>
        {long ? <Empty title="What was run in it is told of six hours at most"><a href={here({ last: "6h", from: null, to: null })}>The last six hours</a>; or mark a part of a chart and zoom with +.</Empty> : <Top name={name} by="query" only={only} />}
      </section>
    </>
  );
}

export const databases: Page = { path: "s/{name}/databases", title: (p) => `${p.name}: databases`, tab: "Databases", key: "d", view: Databases };
export const fleetDatabases: Page = { path: "databases", title: () => "Databases", manage: "viewer", view: Databases };
export const database: Page = { path: "s/{name}/databases/{database}", title: (p) => `${p.database} on ${p.name}`, ranged: true, view: Database };
