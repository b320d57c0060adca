import { useMemo } from "preact/hooks";
import type { BlockingHistoryBody, EpisodeRow, PairRow, WhoRow } from "../schema";
import { drawingOf } from "../lib/activity";
import { useAnswer } from "../lib/api";
import { kindText, lockText } from "../lib/blocking";
import { num, plural } from "../lib/format";
import { useKeys } from "../lib/keys";
import { filterQuery, filters, go, here, href, iso, query, range, serverPath, spanOf } from "../lib/route";
import { barsOf, classesOf, seenText, sessionHref, whoText } from "../lib/spans";
import { age, near, spanText } from "../lib/time";
import { Chart } from "../ui/chart";
import { Asked, Empty } from "../ui/empty";
import { Gantt } from "../ui/gantt";
import { Table } from "../ui/table";
import { instantPath } from "./instant";
import type { Page } from "./page";

/** Who a line is, with a link to all that it did. */
export function Who({ server, who, span }: { server: string; who: WhoRow; span?: { from: number; to: number } }) {
  const to = sessionHref(server, who, span), about = [who.user, who.application].filter(Boolean).join(" · ");
  return (
    <span class="party">
      {to ? <a href={to}><b>{whoText(who)}</b></a> : <b>{whoText(who)}</b>}
      <span class="muted"> {about}</span>
    </span>
  );
}

function Locks({ params }: { params: Record<string, string> }) {
  const name = params.name!, { from, to } = range.value;
  const span = { from: iso(from), to: iso(to) };
  const activity = useAnswer("/api/v1/servers/{name}/history/activity", { name }, { ...span, group_by: "wait_event", limit: 10, ...filterQuery(), wait_class: "lock" });
  const blocking = useAnswer("/api/v1/servers/{name}/history/blocking", { name }, { ...span, limit: 200 });
  const drawing = useMemo(() => activity.data && drawingOf(activity.data), [activity.data]);
  const pick = (at: number) => go(href(instantPath(name, at)));
  const chosen = query.value.get("episode");
  const choose = (e: EpisodeRow) => go(here({ episode: idOf(e) === chosen ? null : idOf(e) }), true);
  useKeys([{ key: "Escape", does: "close the episode", run: () => go(here({ episode: null }), true) }], []);
  const waited = drawing?.series.some((s) => s.values.some((v) => v !== null && v > 0)) ?? false;
  return (
    <>
      <Asked answer={activity} lines={8}>
        {() => {
          const d = drawing!;
          return (
            <Chart
              title="Sessions that waited for a lock" stacked from={from} to={to} times={d.times} step={d.step} note={d.note} height={180}
              series={waited ? d.series : [{ key: "Lock", label: "waiting", colour: "--c-lock", values: d.times.map((_, i) => d.peak.values[i] ?? null) }]} pick={pick}
            />
          );
        }}
      </Asked>
      <Asked answer={blocking} lines={8}>
        {(data) => <Episodes data={data} name={name} waited={waited} chosen={chosen} choose={choose} />}
      </Asked>
    </>
  );
}

/** Names an episode in the address. */
export const idOf = (e: EpisodeRow) => `${e.root.pid ?? e.root.kind}.${e.root.prepared_transaction ?? ""}.${e.most_at}`;

/** The blocker of an episode as a party. */
const blockerOf = (e: EpisodeRow): WhoRow => ({ ...e.root });

/** The time around an episode in which to look at it. */
function around(e: EpisodeRow): { from: number; to: number } {
  const from = Date.parse(e.first_at), to = Date.parse(e.ended_at), pad = Math.max(5000, (to - from) * 0.15);
  return { from: Math.floor((from - pad) / 1000) * 1000, to: Math.ceil((to + pad) / 1000) * 1000 };
}

function Episodes({ data, name, waited, chosen, choose }: { data: BlockingHistoryBody; name: string; waited: boolean; chosen: string | null; choose: (e: EpisodeRow) => void }) {
  const open = data.episodes.find((e) => idOf(e) === chosen);
  if (data.episodes.length === 0) {
    return (
      <Empty title={waited ? "For whom they waited is not known" : "Nobody waited for a lock in this range"}>
        <p>{seenText(data.coverage)}</p>
        {waited ? <p>The monitoring user may not see who holds the locks, or the waits were over before it could be asked.</p> : <p><a href={here({ last: "1d", from: null, to: null })}>The last day</a></p>}
      </Empty>
    );
  }
  return (
    <>
      {data.truncated && (
        <p class="note warn">
          Only what came after {near(Date.parse(data.from))} is listed: the rest is too much to read, or no longer kept.{" "}
          <a href={here(spanOf(range.peek().from, Date.parse(data.from)))}>What was before it</a>
        </p>
      )}
      {filters.value.length > 0 && <p class="note muted">The filter is for the chart: below are all episodes.</p>}
      {open && <Open e={open} name={name} close={() => choose(open)} />}
      <section>
        <h2>
          {data.episodes_total > data.episodes.length ? `The ${num(data.episodes.length)} longest of ${plural(data.episodes_total, "episode")}` : plural(data.episodes_total, "episode")}
          <span class="muted hint"> a backend that held others up and itself waited for nobody</span>
        </h2>
        <Table
          main label="episodes" file={`blocking ${name} ${data.from}`} rows={data.episodes} id={idOf} open={choose} sort={{ id: "waited", down: true }}
          rowClass={(e) => (e === open ? "chosen" : "")}
          columns={[
            { id: "first", name: "began", value: (e) => e.first_at, cell: (e) => (e.from_before ? "before " : "") + near(Date.parse(e.first_at)) },
            { id: "length", name: "lasted", number: true, value: (e) => e.duration_seconds, cell: (e) => <>{age(e.duration_seconds)}{e.ongoing && <span class="bad"> and on</span>}</> },
            { id: "waited", name: "waited", number: true, title: "The time of all who waited, added up", value: (e) => e.session_seconds, cell: (e) => age(e.session_seconds) },
            { id: "behind", name: "behind it", number: true, title: "Most sessions at once, and how many in all", value: (e) => e.root.sessions_behind + e.root.ring.length, cell: (e) => <><b>{num(e.root.sessions_behind + e.root.ring.length)}</b>{e.sessions_blocked > e.root.sessions_behind + e.root.ring.length && <span class="muted"> of {num(e.sessions_blocked)}</span>}</> },
            { id: "depth", name: "deep", number: true, level: 4, value: (e) => e.root.depth },
            { id: "lock", name: "lock", level: 3, value: (e) => (e.root.lock ? lockText(e.root.lock) : null) },
            { id: "who", name: "blocker", value: (e) => e.root.pid ?? e.root.prepared_transaction, cell: (e) => <Who server={name} who={blockerOf(e)} span={around(e)} /> },
            { id: "did", name: "it was", level: 2, value: (e) => didText(e), cell: (e) => <span class={e.root.kind === "idle_in_transaction" ? "warn" : ""}>{didText(e)}</span> },
            { id: "query", name: "statement", wide: true, level: 3, value: (e) => e.root.query, cell: (e) => <span class="sql" title={e.root.query ?? ""}>{e.root.query ?? "–"}</span> },
          ]}
        />
      </section>
      <section>
        <h2>
          {data.pairs_total > data.pairs.length ? `The ${num(data.pairs.length)} longest of ${plural(data.pairs_total, "pair")}` : plural(data.pairs_total, "pair")}
          <span class="muted hint"> who waited directly for whom</span>
        </h2>
        <Pairs pairs={data.pairs} name={name} />
      </section>
    </>
  );
}

function didText(e: EpisodeRow): string {
  if (e.root.ring.length > 0) return `deadlock of ${e.root.ring.length}`;
  return kindText(e.root.kind) + (e.root.wait_event && e.root.kind === "active" ? ` in ${e.root.wait_event_type}:${e.root.wait_event}` : "");
}

/** Who waited for whom, and for how long. */
export function Pairs({ pairs, name }: { pairs: PairRow[]; name: string }) {
  return (
    <Table
      label="pairs" file={`pairs ${name}`} rows={pairs} id={(p) => [p.blocked, p.blocker].map((w) => `${w.pid} ${w.backend_start} ${w.prepared_transaction}`).join(" ")} sort={{ id: "waited", down: true }}
      columns={[
        { id: "blocked", name: "waited", value: (p) => p.blocked.pid, cell: (p) => <Who server={name} who={p.blocked} span={{ from: Date.parse(p.first_at) - 10e3, to: Date.parse(p.last_at) + 10e3 }} /> },
        { id: "blocker", name: "for", value: (p) => p.blocker.pid, cell: (p) => <Who server={name} who={p.blocker} span={{ from: Date.parse(p.first_at) - 10e3, to: Date.parse(p.last_at) + 10e3 }} /> },
        { id: "waited", name: "how long", number: true, value: (p) => p.waited_seconds, cell: (p) => age(p.waited_seconds) },
        { id: "lock", name: "lock", level: 2, value: (p) => (p.lock ? lockText(p.lock) : null) },
        { id: "first", name: "first", level: 2, value: (p) => p.first_at, cell: (p) => <a href={href(instantPath(name, Date.parse(p.first_at) + 999))}>{near(Date.parse(p.first_at))}</a> },
        { id: "last", name: "last", level: 3, value: (p) => p.last_at, cell: (p) => <a href={href(instantPath(name, Date.parse(p.last_at) + 999))}>{near(Date.parse(p.last_at))}</a> },
        { id: "database", name: "database", level: 4, value: (p) => p.blocked.database },
      ]}
    />
  );
}

/** How many of those who waited are shown beside the blocker. */
const shown = 6;

/** An episode: what the blocker and those behind it did, on one axis. */
function Open({ e, name, close }: { e: EpisodeRow; name: string; close: () => void }) {
  const span = around(e), me = blockerOf(e), height = Date.parse(e.most_at) + 999;
  const parties = [me, ...e.longest_waiters.map((w) => w.session).filter((w) => !(w.pid === me.pid && w.backend_start === me.backend_start)).slice(0, shown)];
  // Always as many questions, of which some ask nothing.
  const answers = Array.from({ length: shown + 1 }, (_, i) => {
    const who = parties[i];
    return useAnswer(who?.pid ? "/api/v1/servers/{name}/history/session" : null, { name }, { from: iso(span.from), to: iso(span.to), pid: who?.pid, backend_start: who?.backend_start });
  });
  const bodies = answers.flatMap((a) => (a.data ? [a.data] : []));
  const rows = parties.map((who, i) => ({
    id: `${i}`, name: whoText(who).slice(0, 12),
    head: <><Who server={name} who={who} span={span} />{i === 0 && <span class={e.root.kind === "idle_in_transaction" ? "warn" : "muted"}> held them up: {didText(e)}</span>}{answers[i]!.problem && <span class="bad"> {answers[i]!.problem.detail}</span>}</>,
    // A prepared transaction, and one that was not seen, only hold.
    bars: who.pid ? (answers[i]!.data ? barsOf(answers[i]!.data!) : []) : [{ from: Date.parse(e.first_at), to: Date.parse(e.ended_at), kind: "did" as const, colour: "--c-other", text: `${didText(e)}; others waited for it`, mark: true }],
  }));
  const more = e.sessions_blocked - (parties.length - 1);
  return (
    <section class="panel" aria-label="episode">
      <div class="tools">
        <h2>{plural(e.sessions_blocked, "session")} waited for {whoText(me)}, {spanText(Date.parse(e.first_at), Date.parse(e.ended_at))}</h2>
        <a class="button" href={href(instantPath(name, height))}>Open its height</a>
        <a class="button" href={href(serverPath(name, "incident"), { at: iso(Date.parse(e.most_at)) })}>Incident</a>
        {sessionHref(name, me, span) && <a class="button" href={sessionHref(name, me, span)!}>The blocker's session</a>}
        <button class="quiet end" onClick={close} aria-label="close the episode">×</button>
      </div>
      <p class="muted">
        {[`at most ${num(e.root.sessions_behind + e.root.ring.length)} at once, ${plural(e.root.depth, "step")} deep`, `${age(e.session_seconds)} waited in all`, e.root.lock ? lockText(e.root.lock) : "", e.root.xact_age_seconds !== null ? `in transaction for ${age(e.root.xact_age_seconds)} by then` : ""].filter(Boolean).join(" · ")}
      </p>
      {e.root.query && <pre class="sql">{e.root.query}</pre>}
      <Gantt
        title="What they did" from={span.from} to={span.to} rows={rows} legend={classesOf(bodies)} marked={{ from: Date.parse(e.first_at), to: Date.parse(e.ended_at) }}
        pick={(at) => go(href(instantPath(name, Math.round(at))))}
      />
      {more > 0 && <p class="muted">{plural(more, "more")} waited less long.</p>}
    </section>
  );
}

export const locks: Page = { path: "s/{name}/locks", title: (p) => `Locks of ${p.name ?? ""}`, tab: "Locks", key: "k", ranged: true, view: Locks };
