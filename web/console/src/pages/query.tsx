import { useMemo } from "preact/hooks";
import type { ActivitySeries, InstantBody } from "../schema";
import { drawingOf } from "../lib/activity";
import { useAnswer } from "../lib/api";
import { treesOf, type Waiter } from "../lib/blocking";
import { copy } from "../lib/copy";
import { num, percent, plural } from "../lib/format";
import { useKeys } from "../lib/keys";
import { dimensionNames, dimensionOf, dimensions, filterQuery, go, here, href, iso, range, serverPath, spanOf, type Dimension } from "../lib/route";
import type { Values } from "../lib/stack";
import { age, date, instant, near } from "../lib/time";
import { Chart } from "../ui/chart";
import { Asked, Empty } from "../ui/empty";
import { Table } from "../ui/table";
import { Tree, type Node } from "../ui/tree";
import { instantPath, Party, waiterColumns } from "./instant";
import { idOf, Who } from "./locks";
import type { Page } from "./page";
import { Top } from "./tops";

const groups = dimensions.filter((d) => d !== "query");
const parts: Dimension[] = ["wait_event", "user", "application", "client", "database", "state"];
/** How far back it is looked for when a query was seen, in days. */
const back = 30;
/** Of longer ranges sums are asked for, which do not tell who ran a query, and what it waited for. */
const whole = 6 * 3600e3;

/** The path of a query's page. */
export const queryPath = (name: string, id: string) => serverPath(name, "q/" + id);

function Query({ params }: { params: Record<string, string> }) {
  const name = params.name!, id = params.id!, { from, to } = range.value;
  const long = to - from > whole, by = long ? "query" : dimensionOf("by", "wait_class"), only = { ...filterQuery(), query_id: [id] };
  const span = { from: iso(from), to: iso(to) };
  const activity = useAnswer("/api/v1/servers/{name}/history/activity", { name }, { ...span, group_by: by, ...only });
  const drawing = useMemo(() => activity.data && drawingOf(activity.data), [activity.data]);
  const middle = useMemo(() => mostOf(drawing?.times ?? [], drawing?.series[0]?.values ?? []) ?? to - whole / 2, [drawing, to]);
  const pick = (at: number) => go(href(instantPath(name, at)));
  useKeys(groups.map((d, i) => ({ key: String(i + 1), does: `by ${dimensionNames[d]}`, run: () => go(here({ by: d })) })), []);
  return (
    <>
      <Head name={name} id={id} />
      <div class="tools">
        {!long && <span class="segments" role="group" aria-label="sessions by">
          {groups.map((d, i) => (
            <a key={d} href={here({ by: d === "wait_class" ? null : d })} aria-current={d === by ? "true" : undefined} title={`By ${dimensionNames[d]}  ${i + 1}`}>{dimensionNames[d]}</a>
          ))}
        </span>}
        <a class="button" href={href(serverPath(name), { f: `query:${id}`, ...(long ? { by: "query" } : {}) })}>Load of this query</a>
      </div>
      <Asked answer={activity} lines={8}>
        {() => <Chart title="Sessions that ran it" stacked from={from} to={to} times={drawing!.times} step={drawing!.step} series={drawing!.series} note={drawing!.note} height={200} pick={pick} />}
      </Asked>
      {activity.data && long && (
        <Empty title="Who ran it and what it waited for is told of six hours at most">
          <p><a href={here(spanOf(...around(middle)))}>The six hours around {near(middle)}</a>, when it was run most; or mark a part of the chart and zoom with +.</p>
        </Empty>
      )}
      {activity.data && !long && <Waited name={name} id={id} />}
      {activity.data && !long && <HeldUp name={name} id={id} />}
      {activity.data && !long && (
        <div class="tops">
          {parts.map((d) => (
            <section key={d}>
              <h2>By {dimensionNames[d]}</h2>
              <Top name={name} by={d} only={only} />
            </section>
          ))}
        </div>
      )}
    </>
  );
}

/** Its text, how much of the load it was, and when it was seen. */
function Head({ name, id }: { name: string; id: string }) {
  const { from, to } = range.value;
  const top = useAnswer("/api/v1/servers/{name}/history/top", { name }, { from: iso(from), to: iso(to), by: "query", limit: 1, query_id: [id] });
  const all = useAnswer("/api/v1/servers/{name}/history/top", { name }, { from: iso(from), to: iso(to), by: "state", limit: 1 });
  const day = Math.ceil(Date.now() / 3600e3) * 3600e3;
  const seen = useAnswer("/api/v1/servers/{name}/history/activity", { name }, { from: iso(day - back * 86400e3), to: iso(day), step: "1h", group_by: "query", query_id: [id] });
  const ever = useMemo(() => seen.data && seenIn(seen.data), [seen.data]);
  const elsewhere = top.data && top.data.rows.length === 0 && ever ? ever : null;
  const older = useAnswer(elsewhere ? "/api/v1/servers/{name}/history/top" : null, { name }, { from: iso(elsewhere?.last ?? 0), to: iso((elsewhere?.last ?? 0) + 3600e3), by: "query", limit: 1, query_id: [id] });
  const row = top.data?.rows[0] ?? older.data?.rows[0];
  const inRange = top.data?.rows[0];
  return (
    <section class="query-head">
      <div class="tools">
        <h1>Query {id}</h1>
        {row?.query_id_is_own && <span class="muted" title="PostgreSQL told no query id: compute_query_id is off, or the statement still waits for a lock">by pgam's fingerprint</span>}
        {row?.query && <button onClick={() => void copy(row.query!, "the statement")}>Copy the statement</button>}
      </div>
      {row?.query && <pre class="sql">{row.query}</pre>}
      {row && !row.query && <p class="muted">Its text is not kept: the server's query_texts says none, or it was not read in time.</p>}
      {inRange && (
        <p>
          {num(inRange.average_active_sessions)} sessions on average ran it{inRange.max_sessions !== null && `, ${num(inRange.max_sessions)} at most`}
          {all.data && all.data.samples > 0 && `: ${percent(inRange.samples / all.data.samples)} of the load of the range`}.{" "}
          {ever && <span class="muted">Seen first {hour(ever.first)}, last {hour(ever.last)}, of the last {back} days.</span>}
        </p>
      )}
      {top.data && !inRange && (
        <Empty title="Nobody was seen running it in this range">
          {ever ? (
            <p>It was seen last {hour(ever.last)}: <a href={here({ from: iso(ever.last), to: iso(ever.last + 3600e3), last: null })}>look there</a>.</p>
          ) : (
            seen.data && <p>Nor in the last {plural(back, "day")}. It may have run between two looks, or its id is another since an upgrade: <a href={href(serverPath(name), { by: "query" })}>the queries of the range</a>.</p>
          )}
        </Empty>
      )}
    </section>
  );
}

const hour = (at: number) => (date(at) === date(Date.now()) ? `today in the hour of ${near(at).slice(0, 5)}` : `in the hour of ${instant(at).slice(0, 16)}`);

/** The first and the last hour in which anybody ran it. */
function seenIn(answer: ActivitySeries): { first: number; last: number } | null {
  const values = answer.series?.[0]?.average_active_sessions ?? [], hit = answer.times.filter((_, i) => (values[i] ?? 0) > 0);
  return hit.length ? { first: Date.parse(hit[0]!), last: Date.parse(hit.at(-1)!) } : null;
}

/** Six hours around an instant, that do not end after now. */
function around(at: number): [number, number] {
  const end = Math.min(at + whole / 2, Math.floor(Date.now() / 1000) * 1000);
  return [end - whole, end];
}

/** When a series is highest; undefined: it is nothing throughout. */
function mostOf(times: number[], values: Values): number | undefined {
  const best = values.reduce<number>((b, v, i) => ((v ?? 0) > (values[b] ?? 0) ? i : b), 0);
  return values[best] ? times[best] : undefined;
}

// ---------------------------------------------------------------- locks

/** The second of the range in which most of its sessions waited for a lock, and behind whom. */
function Waited({ name, id }: { name: string; id: string }) {
  const { from, to } = range.value;
  const waits = { query_id: [id], wait_class: ["lock"] };
  const coarse = useAnswer("/api/v1/servers/{name}/history/activity", { name }, { from: iso(from), to: iso(to), ...waits });
  const bucket = useMemo(() => coarse.data && mostIn(coarse.data), [coarse.data]);
  const width = coarse.data ? coarse.data.step_seconds * 1000 : 0, narrow = bucket != null && width > 1000 && width <= 3600e3;
  const fine = useAnswer(narrow ? "/api/v1/servers/{name}/history/activity" : null, { name }, { from: iso(bucket?.at ?? 0), to: iso((bucket?.at ?? 0) + width), step: "1s", ...waits });
  const second = bucket == null ? null : !narrow ? bucket : fine.data ? mostIn(fine.data) : null;
  const then = useAnswer(second ? "/api/v1/servers/{name}/history/at" : null, { name }, { at: second && iso(second.at + 999), limit: 10000 });
  const trees = useMemo(() => then.data && ofQuery(then.data, id), [then.data, id]);
  if (!bucket) return coarse.data ? <p class="muted">None of its sessions waited for a lock in this range.</p> : null;
  if (!second || !then.data) return null;
  const at = Date.parse(then.data.sampled_at ?? then.data.asked);
  return (
    <section>
      <h2>Waiting for locks: most at {near(at)}</h2>
      {trees && trees.length > 0 ? (
        <Tree
          label="who waited for whom" roots={trees} first="Session" head={(w) => <Party w={w} />} columns={waiterColumns}
          open={(w) => go(href(instantPath(name, at), { pid: w.pid ? String(w.pid) : null }))}
        />
      ) : (
        <p>{plural(Math.max(1, Math.round(second.value)), "session")} waited; who held the lock was not seen. <a href={href(instantPath(name, at))}>That second</a></p>
      )}
      {narrow && <p class="muted">On average {num(bucket.value)} sessions waited for a lock in the {age(width / 1000)} around it.</p>}
    </section>
  );
}

/** The episodes of the range at whose height the blocker ran it, or had run it last. */
function HeldUp({ name, id }: { name: string; id: string }) {
  const { from, to } = range.value;
  const { data } = useAnswer("/api/v1/servers/{name}/history/blocking", { name }, { from: iso(from), to: iso(to), limit: 500 });
  if (!data) return null;
  const all = data.episodes.filter((e) => e.root.query_id === id);
  const part = [data.truncated && `after ${near(Date.parse(data.from))}`, data.episodes_total > data.episodes.length && `in the ${data.episodes.length} longest episodes`].filter(Boolean).join(", ");
  if (all.length === 0) return <p class="muted">It was not seen holding others up{part && `, ${part}`}.</p>;
  return (
    <section>
      <h2>
        Held others up {plural(all.length, "time")} <span class="muted hint">{part && `${part}; `}when most waited, the blocker ran it or had run it last</span>
      </h2>
      <Table
        label="whom it held up" rows={all} id={idOf} sort={{ id: "waited", down: true }} open={(e) => go(href(serverPath(name, "locks"), { episode: idOf(e) }))}
        columns={[
          { id: "first", name: "began", value: (e) => e.first_at, cell: (e) => near(Date.parse(e.first_at)) },
          { id: "length", name: "lasted", number: true, value: (e) => e.duration_seconds, cell: (e) => age(e.duration_seconds) },
          { id: "waited", name: "waited", number: true, title: "The time of all who waited, added up", value: (e) => e.session_seconds, cell: (e) => age(e.session_seconds) },
          { id: "sessions", name: "sessions", number: true, level: 2, title: "How many waited in all", value: (e) => e.sessions_blocked },
          { id: "who", name: "blocker", wide: true, value: (e) => e.root.pid, cell: (e) => <Who server={name} who={e.root} /> },
        ]}
      />
    </section>
  );
}

/** The bucket with most sessions that waited for a lock; null: none did. */
function mostIn(answer: ActivitySeries): { at: number; value: number } | null {
  const lock = answer.average_active_sessions?.lock ?? [], times = answer.times.map((t) => Date.parse(t)), at = mostOf(times, lock);
  return at === undefined ? null : { at, value: lock[times.indexOf(at)]! };
}

/** The trees in which a session runs the query: it waits, or holds others up. */
function ofQuery(then: InstantBody, id: string): Node<Waiter>[] {
  const runs = (n: Node<Waiter>): boolean => (n.data.session?.query_id ?? n.data.root?.query_id) === id || n.children.some(runs);
  return treesOf(then.blocking, then.sessions).filter(runs);
}

export const queryPage: Page = { path: "s/{name}/q/{id}", title: (p) => `Query ${p.id ?? ""} on ${p.name ?? ""}`, ranged: true, view: Query };
