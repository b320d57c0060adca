import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { SessionNow, StreamTick } from "../schema";
import { addressOf, useAnswer } from "../lib/api";
import { treesOf } from "../lib/blocking";
import { copy } from "../lib/copy";
import { num, plural, words } from "../lib/format";
import { useKeys } from "../lib/keys";
import { changesOf, sessionKey, Tail, thenOf, type Change } from "../lib/livetail";
import { classColour, classNames, type WaitClass } from "../lib/palette";
import { go, here, href, iso, now, query, serverPath } from "../lib/route";
import { follow, type Connection } from "../lib/stream";
import { age, clock } from "../lib/time";
import { Chart } from "../ui/chart";
import { SessionControl } from "../ui/control";
import { Empty } from "../ui/empty";
import { Table, type Column, type Sort } from "../ui/table";
import { Tree } from "../ui/tree";
import { instantPath, Party, waiterColumns } from "./instant";
import type { Page } from "./page";

const tabs = ["running", "waiting", "blocking"] as const;
const paces = [1, 2, 5, 10, 30];
const shown = 5 * 60e3;

/** Keys that sort, as in pg_activity where it has them. */
const sorts: Record<string, string> = { t: "query_age", x: "xact", c: "backend", u: "user", a: "application", d: "database", w: "wait" };

function Live({ params }: { params: Record<string, string> }) {
  const name = params.name!;
  const asked = Number(query.value.get("every")), every = paces.includes(asked) ? asked : 1;
  const tab = tabs.find((t) => t === query.value.get("tab")) ?? "running";
  const wanted = (query.value.get("q") ?? "").toLowerCase();
  const [tick, setTick] = useState<StreamTick | null>(null);
  const [held, setHeld] = useState<StreamTick | null>(null); // null: not paused
  const [connection, setConnection] = useState<Connection>({ state: "connecting", problem: null, again: null });
  const [sort, setSort] = useState<Sort>({ id: "xact", down: true });
  const [round, setRound] = useState(0);
  const tail = useMemo(() => new Tail(Math.max(shown, every * 60e3), every * 1000), [name, every]);
  const before = useRef<ReadonlyMap<string, SessionNow>>(new Map());
  const changes = useRef<Map<string, Change>>(new Map());

  useEffect(() => {
    before.current = new Map();
    return follow<StreamTick>(
      addressOf("/api/v1/servers/{name}/stream", { name }, { every, sessions: true }),
      (t) => {
        tail.add(Date.parse(t.at), t.problem === null ? t.sessions : null);
        if (t.activity) {
          changes.current = changesOf(before.current, t.activity);
          before.current = new Map(t.activity.map((s) => [sessionKey(s), s]));
        }
        setTick((had) => (t.problem !== null && had ? { ...had, at: t.at, problem: t.problem } : t));
      },
      setConnection,
    );
  }, [name, every, round]);

  // What was before the page was opened, and what comes before the stream is stored.
  const [opened] = useState(() => Math.floor(Date.now() / 60e3) * 60e3);
  const history = useAnswer("/api/v1/servers/{name}/history/activity", { name }, { from: iso(opened - tail.length), to: iso(opened + 60e3), step: `${every}s` });
  useMemo(() => history.data && tail.fill(history.data), [history.data, tail]);
  useEffect(() => {
    const later = setTimeout(history.again, 40e3);
    return () => clearTimeout(later);
  }, [name, every]);

  const data = held ?? tick;
  const back = () => data && go(href(instantPath(name, Date.parse(data.at) - every * 1000)));
  const pause = () => setHeld(held ? null : tick);
  const pace = (by: number) => go(here({ every: String(paces[Math.max(0, Math.min(paces.length - 1, paces.indexOf(every) + by))]) }), true);
  useKeys(
    [
      ...tabs.map((t, i) => ({ key: String(i + 1), does: t, run: () => go(here({ tab: t === "running" ? null : t }), true) })),
      { key: " ", does: "pause, and go on", run: pause },
      { key: "/", does: "filter", run: () => document.querySelector<HTMLInputElement>("#find")?.focus() },
      { key: "ArrowLeft", does: "back in time: the second before, in the history", run: back },
      { key: "+", does: "look more often", run: () => pace(-1) },
      { key: "-", does: "look less often", run: () => pace(1) },
      ...Object.entries(sorts).map(([key, id]) => ({
        key, does: `sort by ${columns.find((c) => c.id === id)!.name}`, run: () => setSort((had) => ({ id, down: had.id === id ? !had.down : !!columns.find((c) => c.id === id)!.number })),
      })),
    ],
    [held, tick, every, name],
  );

  const sessions = data?.activity ?? [];
  const fits = (s: SessionNow) => !wanted || [s.pid, s.user, s.application, s.database, s.client_addr, s.query, s.state, s.wait_event, s.query_id].some((v) => String(v ?? "").toLowerCase().includes(wanted));
  const lists = { running: sessions.filter((s) => s.wait_class !== "idle"), waiting: sessions.filter((s) => s.blocked_by.length > 0), blocking: data?.roots ?? [] };
  const rows = (tab === "waiting" ? lists.waiting : lists.running).filter(fits);
  const trees = useMemo(
    () => (data && tab === "blocking" ? treesOf({ edges: data.edges ?? [], roots: data.roots, waiting: data.waiting }, (data.activity ?? []).map(thenOf)) : []),
    [data, tab],
  );
  const pid = Number(query.value.get("pid") ?? NaN);
  const choose = (p: number | null) => go(here({ pid: p === null || p === pid ? null : String(p) }), true);
  const old = data !== null && !held && (connection.state !== "open" || data.problem !== null || now.value - Date.parse(data.at) > (3 * every + 4) * 1000);
  const drawn = tail.drawing(held ? Date.parse(held.at) : Math.max(now.value, tick ? Date.parse(tick.at) : 0) - every * 1000);
  return (
    <>
      <div class="tools">
        <span class="segments" role="tablist" aria-label="sessions">
          {tabs.map((t, i) => (
            <a key={t} role="tab" href={here({ tab: t === "running" ? null : t })} aria-selected={t === tab} aria-current={t === tab ? "true" : undefined} title={`${i + 1}`}>
              {t} <b class={t !== "running" && lists[t].length ? "bad" : ""}>{data ? num(lists[t].length) : "–"}</b>
            </a>
          ))}
        </span>
        <button onClick={pause} aria-pressed={held !== null} disabled={!data} title="Space">{held ? "Go on" : "Pause"}</button>
        <button onClick={back} disabled={!data} title="The second before, in the history  ←">← back in time</button>
        <label>
          every{" "}
          <select value={every} onChange={(e) => go(here({ every: e.currentTarget.value }), true)}>{paces.map((p) => <option key={p} value={p}>{p} s</option>)}</select>
        </label>
        <State c={connection} tick={tick} held={held} every={every} again={() => setRound((n) => n + 1)} />
        <input
          id="find" type="search" placeholder="Filter  /" aria-label="filter the sessions" value={query.value.get("q") ?? ""}
          onInput={(e) => go(here({ q: e.currentTarget.value || null }), true)} onKeyDown={(e) => (e.key === "Enter" || e.key === "Escape") && e.currentTarget.blur()}
        />
      </div>
      {connection.state === "lost" && connection.problem && <Lost c={connection} />}
      {data?.problem && <div class="problem" role="alert"><p>{data.problem}. It is asked again every {plural(every, "second")}; <a href={href(serverPath(name))}>the history</a> still answers.</p></div>}
      <Chart
        title="Active sessions" stacked from={drawn.from} to={drawn.to} times={drawn.times} step={drawn.step} series={drawn.series} height={110}
        note={data ? connectionsText(data) : undefined} pick={(at) => go(href(instantPath(name, at)))}
      />
      <div class={old ? "live-sessions old" : "live-sessions"}>
        <Chosen pid={pid} sessions={sessions} name={name} close={() => choose(null)} />
        {data === null ? (
          connection.state === "lost" ? null : <div class="waiting" role="status" aria-label="loading">{Array.from({ length: 8 }, (_, i) => <i key={i} />)}</div>
        ) : tab === "blocking" ? (
          trees.length === 0 ? <Empty title="Nobody waits for another session" /> : (
            <Tree label="who waits for whom" roots={trees} first="Session" head={(w) => <Party w={w} />} columns={waiterColumns} open={(w) => w.pid && choose(w.pid)} />
          )
        ) : rows.length === 0 ? (
          <Empty title={wanted ? "No session fits" : tab === "waiting" ? "Nobody waits for another session" : "No session does anything"}>{wanted && <a href={here({ q: null })}>Show all</a>}</Empty>
        ) : (
          <Table
            key={`${sort.id}${sort.down}`} main label={tab} file={`${tab} ${data.at}`} rows={rows} columns={columns} id={sessionKey} sort={sort} open={(s) => choose(s.pid)}
            rowClass={(s) => `${s.pid === pid ? "chosen " : ""}${held ? "" : changeClass(changes.current.get(sessionKey(s)))}`}
          />
        )}
        {data && (data.hidden > 0 || data.untracked > 0) && (
          <p class="muted">
            {data.hidden > 0 && `${plural(data.hidden, "session is", "sessions are")} not shown: the role of pgam lacks pg_monitor. `}
            {data.untracked > 0 && `${plural(data.untracked, "session has", "sessions have")} track_activities off.`}
          </p>
        )}
      </div>
    </>
  );
}

const changeClass = (c: Change | undefined) => (c ? "changed-" + c : "");

/** Connections by state. */
function connectionsText(t: StreamTick): string {
  const states = Object.entries(t.connections).toSorted((a, b) => b[1] - a[1]), all = states.reduce((sum, [, n]) => sum + n, 0);
  return all === 0 ? "" : `${plural(all, "connection")}: ${states.map(([state, n]) => `${num(n)} ${words(state)}`).join(", ")}`;
}

/** Whether what is shown is what is. */
function State({ c, tick, held, every, again }: { c: Connection; tick: StreamTick | null; held: StreamTick | null; every: number; again: () => void }) {
  const late = tick ? (now.value - Date.parse(tick.at)) / 1000 : 0;
  if (c.state === "lost") {
    return (
      <span class="connection bad" role="status">
        not connected{c.again === null ? "" : c.again > now.value ? `, tried again in ${age(Math.ceil((c.again - now.value) / 1000))}` : ", trying again …"} <button onClick={again}>Try now</button>
      </span>
    );
  }
  if (held) return <span class="connection warn" role="status">paused at {clock(Date.parse(held.at))}</span>;
  if (c.state === "connecting" || !tick) return <span class="connection muted" role="status">connecting …</span>;
  if (late > 3 * every + 4) return <span class="connection warn" role="status">nothing new for {age(Math.floor(late))}</span>;
  return <span class="connection good" role="status" aria-label="live">● live <span class="muted">{clock(Date.parse(tick.at))}</span></span>;
}

function Lost({ c }: { c: Connection }) {
  const detail = c.problem!.detail;
  return (
    <div class="problem" role="alert">
      <p>
        {detail}
        {/[.!?]$/.test(detail) ? "" : "."} What is shown below is not live.
      </p>
    </div>
  );
}

// ---------------------------------------------------------------- sessions

const columns: Column<SessionNow>[] = [
  { id: "pid", name: "pid", number: true, value: (s) => s.pid },
  { id: "state", name: "state", value: (s) => s.state, level: 3 },
  { id: "wait", name: "waits for", value: (s) => waitText(s), cell: (s) => <span title={classNames[s.wait_class as WaitClass] ?? s.wait_class}><i class="dot" style={{ background: `var(${classColour(s.wait_class)}, transparent)` }} />{waitText(s)}</span> },
  { id: "blocked", name: "blocked by", number: true, level: 2, value: (s) => s.blocked_by[0] ?? null, cell: (s) => s.blocked_by.map((p) => p || "prepared").join(" ") },
  { id: "xact", name: "in transaction", number: true, value: (s) => s.xact_age_seconds, cell: (s) => age(s.xact_age_seconds) },
  { id: "query_age", name: "statement since", number: true, level: 2, value: (s) => s.query_age_seconds, cell: (s) => age(s.query_age_seconds) },
  { id: "backend", name: "connected for", number: true, level: 4, value: (s) => s.backend_age_seconds, cell: (s) => age(s.backend_age_seconds) },
  { id: "user", name: "user", value: (s) => s.user, level: 3 },
  { id: "application", name: "application", value: (s) => s.application, level: 2 },
  { id: "database", name: "database", value: (s) => s.database, level: 3 },
  { id: "client", name: "client", value: (s) => s.client_addr, level: 4 },
  { id: "query", name: "statement", wide: true, value: (s) => s.query, cell: (s) => <span class="sql" title={s.query ?? ""}>{s.query ?? <span class="muted">{s.backend_type}</span>}</span> },
];

const waitText = (s: SessionNow) => (s.wait_class === "idle_in_transaction" ? "idle in transaction" : s.wait_event_type === null ? "CPU" : `${s.wait_event_type}:${s.wait_event}`);

/** All that is known of a session, also once it has gone. */
function Chosen({ pid, sessions, name, close }: { pid: number; sessions: SessionNow[]; name: string; close: () => void }) {
  const had = useRef<SessionNow | null>(null);
  const here = sessions.find((s) => s.pid === pid && (had.current?.pid !== pid || had.current.backend_start === s.backend_start));
  if (here) had.current = here;
  if (had.current?.pid !== pid) had.current = null;
  useKeys(Number.isNaN(pid) ? [] : [{ key: "Escape", does: "close the session", run: close }], [pid]);
  const s = had.current;
  if (!s) return null;
  const known: [string, string | null][] = [
    ["state", s.state], ["waits for", waitText(s)], ["blocked by", s.blocked_by.map((p) => p || "a prepared transaction").join(", ") || null], ["user", s.user], ["application", s.application],
    ["database", s.database], ["client", s.client_addr], ["backend", s.backend_type], ["in transaction for", s.xact_age_seconds === null ? null : age(s.xact_age_seconds)],
    ["statement for", s.query_age_seconds === null ? null : age(s.query_age_seconds)], ["connected for", s.backend_age_seconds === null ? null : age(s.backend_age_seconds)],
    ["parallel worker of", s.leader_pid === null ? null : String(s.leader_pid)],
  ];
  return (
    <aside class="detail" aria-label={`session ${s.pid}`}>
      <div class="tools">
        <h2>Session {s.pid}</h2>
        {!here && <span class="warn" role="status">idle now, or gone: this is what it did last</span>}
        {s.query_id && <a class="button" href={href(serverPath(name, "q/" + s.query_id))}>The query</a>}
        {s.query && <button onClick={() => void copy(s.query!, "the statement")}>Copy the statement</button>}
        <button class="quiet end" onClick={close} aria-label="close the session">×</button>
      </div>
      <dl>{known.filter(([, v]) => v).map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>
      {s.query && <pre class="sql">{s.query}</pre>}
      {s.backend_type === "client backend" && <SessionControl key={sessionKey(s)} server={name} pid={s.pid} began={s.backend_start} />}
    </aside>
  );
}

export const live: Page = { path: "s/{name}/live", title: (p) => `${p.name ?? ""} live`, tab: "Live", key: "v", view: Live };
