import { useMemo } from "preact/hooks";
import type { InstantBody, SessionThen } from "../schema";
import { drawingOf } from "../lib/activity";
import { addressOf, Problem, send, useAnswer } from "../lib/api";
import { kindText, lockText, treesOf, type Waiter } from "../lib/blocking";
import { tell } from "../lib/copy";
import { num, plural, words } from "../lib/format";
import { useKeys } from "../lib/keys";
import { classColour, classNames, type WaitClass } from "../lib/palette";
import { go, here, href, iso, query, serverPath } from "../lib/route";
import { sessionHref } from "../lib/spans";
import type { ActivitySeries } from "../schema";
import { age, instant as instantText, near } from "../lib/time";
import { Chart } from "../ui/chart";
import { SessionControl } from "../ui/control";
import { Asked, Empty } from "../ui/empty";
import { Table, type Column } from "../ui/table";
import { Tree } from "../ui/tree";
import type { Page } from "./page";

const minute = 60e3;

/** The path of an instant's page. Looks are told to the microsecond, which a Date cuts off: a millisecond more is not before them. */
export const instantPath = (name: string, at: number) => serverPath(name, "at/" + iso(at + 1));

function Instant({ params }: { params: Record<string, string> }) {
  const name = params.name!, asked = Date.parse(params.at!);
  const at = Number.isNaN(asked) ? null : asked; // now, or what is no instant: the newest
  const answer = useAnswer("/api/v1/servers/{name}/history/at", { name }, { at: at === null ? null : iso(at), limit: 10000 });
  const seen = answer.data?.sampled_at ? Date.parse(answer.data.sampled_at) : (at ?? Date.now());
  const middle = Math.floor((at ?? seen) / minute) * minute;
  const around = { from: middle - 5 * minute, to: middle + 6 * minute };
  const activity = useAnswer("/api/v1/servers/{name}/history/activity", { name }, { from: iso(around.from), to: iso(Math.min(around.to, Math.ceil(Date.now() / 5000) * 5000)), step: "1s" });
  const drawing = useMemo(() => activity.data && drawingOf(activity.data), [activity.data]);
  const to = (t: number) => go(href(instantPath(name, t), { pid: query.peek().get("pid") }), true);
  useKeys(
    [
      { key: "ArrowLeft", does: "a tick back", run: () => to(seen - 1) },
      { key: "ArrowRight", does: "a tick on", run: () => to(seen + 1000) },
      { key: "shift+ArrowLeft", does: "a minute back", run: () => to(seen - minute) },
      { key: "shift+ArrowRight", does: "a minute on", run: () => to(seen + minute) },
      { key: ".", does: "to the next second in which somebody waits for a lock", run: () => void nextWaiting(name, seen).then((t) => t && to(t)) },
      { key: "i", does: "the incident around it", run: () => go(href(serverPath(name, "incident"), { at: iso(seen) })) },
    ],
    [name, seen],
  );
  return (
    <>
      <div class="tools">
        <h1>{instantText(seen)}</h1>
        <span class="segments" role="group" aria-label="move">
          <button onClick={() => to(seen - minute)} title="A minute back  ⇧ ←">− 1 m</button>
          <button onClick={() => to(seen - 1)} title="A tick back  ←">← tick</button>
          <button onClick={() => to(seen + 1000)} title="A tick on  →">tick →</button>
          <button onClick={() => to(seen + minute)} title="A minute on  ⇧ →">+ 1 m</button>
        </span>
        <button onClick={() => void nextWaiting(name, seen).then((t) => t && to(t))} title="The next second in which somebody waits for a lock  .">next wait for a lock</button>
        <a class="button" href={href(serverPath(name), { from: iso(around.from), to: iso(around.to), last: null, at: iso(seen) })}>Load around it</a>
        {answer.data && <span class="muted">{saw(answer.data, at)}</span>}
      </div>
      {drawing && (
        <Chart
          title="Active sessions" stacked from={around.from} to={around.to} times={drawing.times} step={drawing.step} series={drawing.series} height={120}
          marks={[{ at: seen }]} pick={to}
        />
      )}
      <Asked answer={answer} lines={10}>{(data) => <Sessions data={data} name={name} />}</Asked>
    </>
  );
}

/** The sessions of a second, below a chart that was clicked at. */
export function InstantPanel({ name, at }: { name: string; at: number }) {
  const answer = useAnswer("/api/v1/servers/{name}/history/at", { name }, { at: iso(at), limit: 10000 });
  return (
    <section class="panel">
      <div class="tools">
        <h2>Sessions at {near(at)}</h2>
        <a class="button" href={href(instantPath(name, at))}>Open this second</a>
        {answer.data && <span class="muted">{saw(answer.data, at)}</span>}
        <a class="button end" href={here({ at: null })} aria-label="close the sessions">×</a>
      </div>
      <Asked answer={answer}>{(data) => <Sessions data={data} name={name} />}</Asked>
    </section>
  );
}

/** What was seen of the server, in a sentence. */
function saw(data: InstantBody, at: number | null): string {
  if (!data.sampled_at) return "";
  const late = at === null ? 0 : (at - Date.parse(data.sampled_at)) / 1000;
  return [
    `${plural(data.sessions_total, "session")} not idle`,
    data.backends !== null ? `${num(data.backends)} connections` : "",
    data.blocking.waiting > 0 ? `${num(data.blocking.waiting)} waiting for another` : "",
    late > 2 ? `the newest look before it, ${age(late)} earlier` : "",
    data.outcome === "degraded" ? "seen in part: another question was not answered" : "",
  ].filter(Boolean).join(" · ");
}

function Sessions({ data, name }: { data: InstantBody; name: string }) {
  const trees = useMemo(() => treesOf(data.blocking, data.sessions), [data]);
  const chosen = Number(query.value.get("pid") ?? NaN);
  const session = data.sessions.find((s) => s.pid === chosen);
  const choose = (pid: number | null) => go(here({ pid: pid === null || pid === chosen ? null : String(pid) }), true);
  if (!data.sampled_at) {
    const { failed_by, skipped_by } = data.coverage;
    const why = [...Object.keys(failed_by), ...Object.keys(skipped_by)].map(words).join(", ");
    return (
      <Empty title={`Nobody saw the server at ${instantText(Date.parse(data.asked))}`}>
        <p>{why ? `It was not looked at, or did not answer: ${why}.` : "It was not watched then."}</p>
        <p><a href={href(serverPath(name))}>When it was seen: Load</a></p>
      </Empty>
    );
  }
  return (
    <>
      {session && <Detail s={session} name={name} at={Date.parse(data.sampled_at)} close={() => choose(null)} />}
      {trees.length > 0 && (
        <section>
          <h2>Who waits for whom</h2>
          <Tree label="who waits for whom" roots={trees} first="Session" head={(w) => <Party w={w} />} columns={waiterColumns} open={(w) => choose(w.pid)} />
        </section>
      )}
      <section>
        <h2>Sessions</h2>
        {data.sessions.length === 0 ? (
          <Empty title="No session did anything" />
        ) : (
          <Table
            main label="sessions" file={`sessions ${data.sampled_at}`} rows={data.sessions} columns={sessionColumns} id={(s) => `${s.pid} ${s.backend_start}`}
            sort={{ id: "xact", down: true }} open={(s) => choose(s.pid)} rowClass={(s) => (s.pid === chosen ? "chosen" : "")}
          />
        )}
      </section>
      {data.oldest_xmin.length > 0 && (
        <section>
          <h2>What keeps rows from being vacuumed</h2>
          <Table
            label="oldest xmin" rows={data.oldest_xmin} id={(x) => x.holder + x.name + x.pid}
            columns={[
              { id: "holder", name: "what", value: (x) => words(x.holder) },
              { id: "name", name: "name", wide: true, value: (x) => x.name },
              { id: "pid", name: "pid", number: true, value: (x) => x.pid, cell: (x) => x.pid ?? "–" },
              { id: "age", name: "transactions since its xmin", number: true, value: (x) => x.xmin_age, cell: (x) => num(x.xmin_age) },
            ]}
          />
        </section>
      )}
    </>
  );
}

/** Who a line of the tree is. */
export function Party({ w }: { w: Waiter }) {
  const s = w.session ?? w.root;
  const who = [s?.user, s?.application].filter(Boolean).join(" · ");
  return (
    <span class="party">
      {w.prepared !== null ? <b>prepared {w.prepared}</b> : w.root?.kind === "not_seen" ? <b>not seen</b> : <b>{w.pid}</b>}
      {w.root && w.root.ring.length > 0 && <span class="bad"> deadlock of {w.root.ring.length}</span>}
      {w.root && <span class={w.root.kind === "idle_in_transaction" ? "warn" : "muted"}> {kindText(w.root.kind)}</span>}
      <span class="muted"> {who}</span>
    </span>
  );
}

export const waiterColumns = [
  { id: "behind", name: "behind it", number: true, cell: (w: Waiter) => (w.behind ? <b>{num(w.behind)}</b> : "") },
  { id: "lock", name: "lock", level: 2 as const, cell: (w: Waiter) => <span title={lockText(w.lock)}>{w.root ? <span class="muted">{lockText(w.lock)}</span> : lockText(w.lock)}</span> },
  { id: "xact", name: "in transaction", number: true, cell: (w: Waiter) => age(w.session?.xact_age_seconds ?? w.root?.xact_age_seconds) },
  { id: "database", name: "database", level: 3 as const, cell: (w: Waiter) => w.session?.database ?? w.root?.database ?? "–" },
  { id: "query", name: "statement", wide: true, level: 2 as const, cell: (w: Waiter) => <span class="sql" title={w.session?.query ?? w.root?.query ?? ""}>{w.session?.query ?? w.root?.query ?? "–"}</span> },
];

/** What a session waits for, with the colour of its class. */
function Wait({ s }: { s: SessionThen }) {
  const text = s.wait_event ? `${s.wait_event_type}:${s.wait_event}` : s.wait_event_type || "–";
  return (
    <span title={classNames[s.wait_class as WaitClass] ?? s.wait_class}>
      <i class="dot" style={{ background: `var(${classColour(s.wait_class)}, transparent)` }} />
      {text}
    </span>
  );
}

const sessionColumns: Column<SessionThen>[] = [
  { id: "pid", name: "pid", number: true, value: (s) => s.pid },
  { id: "state", name: "state", value: (s) => s.state, level: 2 },
  { id: "wait", name: "waits for", value: (s) => `${s.wait_event_type}:${s.wait_event}`, cell: (s) => <Wait s={s} /> },
  { id: "blocked", name: "blocked by", number: true, level: 2, value: (s) => s.blocked_by_pid, cell: (s) => (s.blocked ? (s.blocked_by_pid ?? "prepared or not seen") : "") },
  { id: "xact", name: "in transaction", number: true, value: (s) => s.xact_age_seconds, cell: (s) => age(s.xact_age_seconds) },
  { id: "query_age", name: "statement since", number: true, level: 2, value: (s) => s.query_age_seconds, cell: (s) => age(s.query_age_seconds) },
  { id: "user", name: "user", value: (s) => s.user, level: 3 },
  { id: "application", name: "application", value: (s) => s.application, level: 2 },
  { id: "database", name: "database", value: (s) => s.database, level: 4 },
  { id: "client", name: "client", value: (s) => s.client_addr, level: 4 },
  { id: "query", name: "statement", wide: true, value: (s) => s.query, cell: (s) => <span class="sql" title={s.query ?? ""}>{s.query ?? <span class="muted">{s.backend_type}</span>}</span> },
];

/** All that is known of a session. */
function Detail({ s, name, at, close }: { s: SessionThen; name: string; at: number; close: () => void }) {
  useKeys([{ key: "Escape", does: "close the session", run: close }], [s.pid]);
  const known: [string, string | null][] = [
    ["state", s.state], ["waits for", s.wait_event ? `${s.wait_event_type}:${s.wait_event}` : s.wait_event_type], ["blocked by", s.blocked ? String(s.blocked_by_pid ?? "a prepared transaction, or one not seen") : null],
    ["user", s.user], ["application", s.application], ["database", s.database], ["client", s.client_addr], ["backend", s.backend_type],
    ["in transaction for", s.xact_age_seconds === null ? null : age(s.xact_age_seconds)], ["statement for", s.query_age_seconds === null ? null : age(s.query_age_seconds)],
    ["connected since", s.backend_start && instantText(Date.parse(s.backend_start))], ["parallel worker of", s.leader_pid === null ? null : String(s.leader_pid)],
    ["transactions since its xmin", s.xmin_age === null ? null : num(s.xmin_age)], ["query id", s.query_id && s.query_id + (s.query_id_is_own ? " (pgam's)" : "")],
  ];
  return (
    <aside class="detail" aria-label={`session ${s.pid}`}>
      <div class="tools">
        <h2>Session {s.pid}</h2>
        <a class="button" href={sessionHref(name, s, { from: at - 10 * minute, to: at + 10 * minute })!}>What it did before and after</a>
        <button class="quiet end" onClick={close} aria-label="close the session">×</button>
      </div>
      <dl>{known.filter(([, v]) => v).map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>
      {s.query && <pre class="sql">{s.query}</pre>}
      <SessionControl key={`${s.pid} ${s.backend_start}`} server={name} pid={s.pid} began={s.backend_start} look />
    </aside>
  );
}

/** The next second after an instant in which somebody waits for a lock; null, and said: there is none. */
async function nextWaiting(name: string, after: number): Promise<number | null> {
  const hours = 6, until = Math.min(Date.now(), after + hours * 3600e3);
  try {
    for (let from = Math.floor(after / 1000) * 1000 + 1000; from < until; from += 1800e3) {
      const asked = { from: iso(from), to: iso(Math.min(from + 1800e3, until)), step: "1s", wait_class: "lock" };
      const answer = await send<ActivitySeries>("GET", addressOf("/api/v1/servers/{name}/history/activity", { name }, asked));
      const i = answer.average_active_sessions?.lock.findIndex((v) => v !== null && v > 0) ?? -1;
      if (i >= 0) return Date.parse(answer.times[i]!) + 999;
    }
  } catch (cause) {
    if (!(cause instanceof Problem)) throw cause;
    tell(cause.detail);
    return null;
  }
  tell(`Nobody waits for a lock in ${until - after < hours * 3600e3 - 1000 ? "what comes after" : `the ${hours} hours after`}`);
  return null;
}

export const instant: Page = { path: "s/{name}/at/{at}", title: (p) => `${p.name ?? ""} at ${p.at ?? ""}`, tab: "Instant", key: "n", view: Instant };

