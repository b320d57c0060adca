import { useEffect, useMemo, useState } from "preact/hooks";
import type { ActivitySeries, BlockerRow, CompareRow, FindingOf, IncidentBody, IncidentDatabase, IncidentTop } from "../schema";
import { drawingOf, labelOf } from "../lib/activity";
import { useAnswer } from "../lib/api";
import { kindText, lockText, treesOf } from "../lib/blocking";
import { copy, save } from "../lib/copy";
import { bytes, num, percent, plural, words } from "../lib/format";
import { useKeys } from "../lib/keys";
import { changeText, markdownOf, rootName } from "../lib/markdown";
import { classColour } from "../lib/palette";
import { go, here, href, iso, query, range, serverPath, spanOf, type Changes } from "../lib/route";
import { age, instant, near, parseSpan, spanText } from "../lib/time";
import { Bar } from "../ui/bar";
import { Chart } from "../ui/chart";
import { Asked, Empty } from "../ui/empty";
import { readInstant } from "../ui/frame";
import { EventLane, eventText } from "../ui/lanes";
import { Table, type Column } from "../ui/table";
import { Tree } from "../ui/tree";
import { pageOf } from "./index";
import { instantPath, Party, waiterColumns } from "./instant";
import type { Page } from "./page";

const windows = ["1m", "5m", "10m", "30m", "1h", "2h"];

function Incident({ params }: { params: Record<string, string> }) {
  const at = Date.parse(query.value.get("at") ?? "");
  return Number.isNaN(at) ? <Which name={params.name!} /> : <Around name={params.name!} at={at} />;
}

// ---------------------------------------------------------------- which one

/** Proposes the worst minute of the range, and lets choose another. */
function Which({ name }: { name: string }) {
  const [{ from, to }] = useState(() => range.peek());
  const activity = useAnswer("/api/v1/servers/{name}/history/activity", { name }, { from: iso(from), to: iso(to) });
  const events = useAnswer("/api/v1/servers/{name}/history/events", { name }, { from: iso(from), to: iso(to), limit: 200 });
  const drawing = useMemo(() => activity.data && drawingOf(activity.data), [activity.data]);
  const worst = useMemo(() => activity.data && worstOf(activity.data), [activity.data]);
  const open = (t: number) => go(here({ at: iso(t) }));
  return (
    <>
      <div class="tools">
        <h1>Which moment?</h1>
        <AtForm at={worst ? worst.at : to} open={open} />
        <span class="muted">or click into the chart: {spanText(from, to)}</span>
      </div>
      <Asked answer={activity} lines={8}>
        {() => (
          <>
            {worst ? (
              <p class="proposal">
                {worst.lock > 0
                  ? `Most waited for locks at ${near(worst.at)}: ${num(worst.lock)} sessions on average.`
                  : `Most sessions were active at ${near(worst.at)}: ${num(worst.all)} on average. Nobody waited for a lock.`}{" "}
                <a class="button" href={here({ at: iso(worst.at) })}>What happened then <kbd>Enter</kbd></a>
              </p>
            ) : (
              <Empty title="No session was active in this range, or nobody looked"><p>Choose another range on <a href={href(serverPath(name))}>Load</a>, or an instant above.</p></Empty>
            )}
            <Chart
              title="Active sessions" stacked from={from} to={to} times={drawing!.times} step={drawing!.step} series={drawing!.series} note={drawing!.note}
              pick={open} marks={worst ? [{ at: worst.at }] : []}
            />
            {events.data && <EventLane events={events.data.items} from={from} to={to} pick={open} />}
            {worst && <Enter run={() => open(worst.at)} />}
          </>
        )}
      </Asked>
    </>
  );
}

function Enter({ run }: { run: () => void }) {
  useKeys([{ key: "Enter", does: "the moment that is proposed", run }], [run]);
  return null;
}

/** The middle of the bucket in which most waited for locks; if nobody did, of that with most sessions. */
function worstOf(answer: ActivitySeries): { at: number; lock: number; all: number } | null {
  const classes = answer.average_active_sessions;
  if (!classes) return null;
  let worst: { at: number; lock: number; all: number } | null = null;
  answer.times.forEach((t, i) => {
    const all = Object.values(classes).reduce<number>((sum, values: (number | null)[]) => sum + (values[i] ?? 0), 0), lock = classes.lock[i] ?? 0;
    if (all > 0 && (!worst || lock > worst.lock || (lock === worst.lock && all > worst.all))) {
      worst = { at: Date.parse(t) + Math.floor(answer.step_seconds / 2) * 1000, lock, all };
    }
  });
  return worst;
}

function AtForm({ at, open }: { at: number; open: (t: number) => void }) {
  const [problem, setProblem] = useState("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const t = readInstant(String(new FormData(event.currentTarget as HTMLFormElement).get("at")));
    if (t === null) return setProblem("Write an instant as 2026-11-22 03:12 or 03:12.");
    if (t > Date.now()) return setProblem("That is in the future.");
    setProblem("");
    open(t);
  };
  return (
    <form class="at-form" onSubmit={submit}>
      <input key={at} name="at" aria-label="instant" defaultValue={instant(at)} size={19} />
      <button>Show</button>
      {problem && <span class="bad" role="alert">{problem}</span>}
    </form>
  );
}

// ---------------------------------------------------------------- what happened

function Around({ name, at }: { name: string; at: number }) {
  const window = windowOf(query.value.get("window"));
  const answer = useAnswer("/api/v1/servers/{name}/incident", { name }, { at: iso(at), window });
  const length = parseSpan(window)!;
  const move = (by: number) => go(here({ at: iso(Math.min(Date.now(), at + by * length)) }), true);
  const link = () => new URL(here({}), location.href).href;
  const asMarkdown = () => answer.data && void copy(markdownOf(answer.data, link()), "the incident as Markdown");
  const asJson = () => answer.data && void copy(JSON.stringify(answer.data, null, 2), "the incident as JSON");
  useKeys(
    [
      { key: "ArrowLeft", does: "half a window earlier", run: () => move(-0.5) },
      { key: "ArrowRight", does: "half a window later", run: () => move(0.5) },
      { key: "m", does: "copy as Markdown", run: () => void asMarkdown() },
      { key: "e", does: "export as JSON", run: () => answer.data && save(`incident ${name} ${answer.data.at}.json`, "application/json", JSON.stringify(answer.data, null, 2)) },
      { key: "n", does: "the sessions of this instant", run: () => go(href(instantPath(name, at))) },
      ...windows.map((w, n) => ({ key: String(n + 1), does: `look at ${w}`, run: () => go(here({ window: w }), true) })),
    ],
    [name, at, window, answer.data],
  );
  return (
    <>
      <div class="tools">
        <h1>What happened at {instant(at)}</h1>
        <span class="segments" role="group" aria-label="window">
          {windows.map((w) => <a key={w} href={here({ window: w })} aria-current={w === window ? "true" : undefined}>{w}</a>)}
        </span>
        <span class="segments" role="group" aria-label="move">
          <button onClick={() => move(-0.5)} title="Half a window earlier  ←">←</button>
          <button onClick={() => move(0.5)} title="Half a window later  →">→</button>
        </span>
        <a class="button" href={here({ at: null })}>Another moment</a>
        <span class="segments end" role="group" aria-label="take it along">
          <button onClick={asMarkdown} disabled={!answer.data} title="m">Copy Markdown</button>
          <button onClick={asJson} disabled={!answer.data}>Copy JSON</button>
          <button onClick={() => print()}>Print</button>
        </span>
      </div>
      <Asked answer={answer} lines={12}>{(data) => <Report i={data} name={name} at={at} />}</Asked>
    </>
  );
}

/** A window of the address that can be asked for: whole seconds from a minute to two hours. */
function windowOf(text: string | null): string {
  const length = parseSpan(text ?? "") ?? 0;
  return length >= 60e3 && length <= 7200e3 ? text! : "10m";
}

function Report({ i, name, at }: { i: IncidentBody; name: string; at: number }) {
  const from = Date.parse(i.from), to = Date.parse(i.to);
  const before = useAnswer("/api/v1/servers/{name}/history/activity", { name }, { from: i.baseline_from, to: i.baseline_to });
  const now = useMemo(() => drawingOf(i.timeline), [i]), then = useMemo(() => before.data && drawingOf(before.data), [before.data]);
  const usual = then ? average(then.series.map((s) => s.values)) : null;
  const most = Math.max(highest(now.series.map((s) => s.values)), then ? highest(then.series.map((s) => s.values)) : 0);
  const pick = (t: number) => go(href(instantPath(name, t)));
  const seen = i.coverage.ok + i.coverage.degraded;
  return (
    <>
      <Findings i={i} name={name} />
      {i.missing.length > 0 && (
        <section class="not-known">
          <h2>Not known</h2>
          <ul>{i.missing.map((m) => <li key={m}>{m}</li>)}</ul>
        </section>
      )}
      <div class={usual === null ? "" : "beside"}>
        <Chart
          title="Active sessions" stacked from={from} to={to} times={now.times} step={now.step} series={now.series} note={now.note} pick={pick} marks={[{ at }]} most={most} height={200}
          limit={usual === null ? null : { value: usual, label: `the hour before: ${num(usual)}` }}
        />
        {then && usual !== null && (
          <Chart
            title="The hour before" stacked from={Date.parse(i.baseline_from)} to={Date.parse(i.baseline_to)} times={then.times} step={then.step} series={then.series} most={most} height={200} pick={pick}
          />
        )}
      </div>
      <EventLane events={i.events} from={from} to={to} pick={pick} />
      <Blockers i={i} name={name} />
      <section>
        <h2>What took the time</h2>
        <div class="tops">{i.tops.map((top) => <Top key={top.by} top={top} i={i} name={name} />)}</div>
      </section>
      {i.databases.length > 0 && (
        <section id="databases">
          <h2>Databases</h2>
          <Table label="databases" file={`databases ${i.at}`} rows={i.databases} columns={databaseColumns} id={(d) => d.database} sort={{ id: "commits", down: true }} />
        </section>
      )}
      {i.events.length > 0 && (
        <section>
          <h2>Events</h2>
          <Table
            label="events" file={`events ${i.at}`} rows={i.events} id={(e) => e.at + e.kind + e.subject} open={(e) => pick(Date.parse(e.at))}
            columns={[
              { id: "at", name: "at", value: (e) => e.at, cell: (e) => near(Date.parse(e.at)) },
              { id: "what", name: "what", wide: true, value: (e) => eventText(e), cell: (e) => <span title={e.detail ?? ""}>{eventText(e)}{e.detail && <span class="muted">: {e.detail}</span>}</span> },
              { id: "of", name: "of", level: 2, value: (e) => (e.scope === "monitor" ? "pgam itself" : "the server") },
            ]}
          />
        </section>
      )}
      {i.disks.length > 0 && (
        <section>
          <h2>Disks</h2>
          <Table
            label="disks" rows={i.disks} id={(d) => d.mount_point}
            columns={[
              { id: "mount", name: "mount point", wide: true, value: (d) => d.mount_point },
              { id: "uses", name: "holds", level: 2, value: (d) => d.uses.join(", ") },
              { id: "free", name: "free", number: true, value: (d) => d.free_bytes.at(-1) ?? null, cell: (d) => bytes(d.free_bytes.at(-1)) },
              { id: "total", name: "of", number: true, value: (d) => d.total_bytes.at(-1) ?? null, cell: (d) => bytes(d.total_bytes.at(-1)) },
              { id: "part", name: "free part", number: true, value: (d) => partFree(d), cell: (d) => percent(partFree(d)) },
            ]}
          />
        </section>
      )}
      <p class="muted">
        Seen: {num(seen)} of {plural(i.coverage.planned, "tick")}
        {i.coverage.longest_gap_seconds > 0 && `, ${age(i.coverage.longest_gap_seconds)} without one at most`}. At most {num(i.max_backends)} connections
        {i.max_connections !== null && ` of ${num(i.max_connections)}`}. Compared with {spanText(Date.parse(i.baseline_from), Date.parse(i.baseline_to))}.
      </p>
    </>
  );
}

const partFree = (d: IncidentBody["disks"][number]) => {
  const free = d.free_bytes.at(-1), total = d.total_bytes.at(-1);
  return free !== null && free !== undefined && total ? free / total : null;
};

const sums = (series: readonly (readonly (number | null)[])[]) =>
  (series[0] ?? []).map((_, n) => series.reduce<number | null>((sum, values) => (values[n] === null || values[n] === undefined ? sum : (sum ?? 0) + values[n]), null)).filter((v) => v !== null);

function average(series: readonly (readonly (number | null)[])[]): number | null {
  const known = sums(series);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
}

const highest = (series: readonly (readonly (number | null)[])[]) => Math.max(0, ...sums(series));

// ---------------------------------------------------------------- findings

interface Proof {
  text: string;
  to: string;
}

function Findings({ i, name }: { i: IncidentBody; name: string }) {
  if (i.findings.length === 0) {
    return <Empty title="Nothing stands out"><p>By the rules for findings nothing was unusual. What took the time is below; a wider window sees more.</p></Empty>;
  }
  return (
    <ol class="happened">
      {i.findings.map((f, n) => (
        <li key={n} class={f.severity}>
          <b class="severity">{f.severity}</b>
          <span class="text">{f.text}</span>
          <span class="proofs">{proofsOf(f, i, name).map((p) => <a key={p.text} href={p.to}>{p.text}</a>)}</span>
        </li>
      ))}
    </ol>
  );
}

/** Where a finding can be seen for oneself. */
function proofsOf(f: FindingOf, i: IncidentBody, name: string): Proof[] {
  const from = Date.parse(i.from), to = Math.min(Date.parse(i.to), Date.now());
  const load = (text: string, more: Changes = {}): Proof => ({ text, to: href(serverPath(name), { ...spanOf(from, to), f: null, ...more }, []) });
  const second = (text: string, t: string, more: Changes = {}): Proof => ({ text, to: href(instantPath(name, Date.parse(t) + (f.rule === "event" ? 999 : 1)), more, []) }); // a tick later than its milliseconds say
  const other = (text: string, page: string): Proof[] =>
    pageOf(`s/${name.replace(/\//g, "-")}/${page}`) ? [{ text, to: href(serverPath(name, page), spanOf(from, to), []) }] : [];
  switch (f.rule) {
    case "coverage":
      return [load("When it was seen")];
    case "blocking": {
      const root = i.blockers.find((b) => b.most_at === f.at)?.root;
      return [...(f.at ? [second("Who waited", f.at, { pid: root?.pid ? String(root.pid) : null })] : []), load("Load of locks", { f: "wait_class:lock", by: "query" }), ...other("Locks", "locks")];
    }
    case "connections":
      return [load("Connections")];
    case "event":
      return f.at ? [second("That second", f.at), load("Load around it", { at: f.at })] : [];
    case "load":
      return [load("Compared", { compare: "before" })];
    case "wait": {
      const key = i.tops.find((t) => t.by === "wait_event")?.rows.find((r) => r.key && f.text.includes(` was ${r.key}, `))?.key;
      return [load("Who waited for it", { by: "application", f: key ? `wait_event:${key}` : null }), load("Load by wait", { by: "wait_event" })];
    }
    case "query": {
      const key = i.tops.find((t) => t.by === "query")?.rows.find((r) => r.key && new RegExp(` query ${r.key}[ ,]`).test(f.text))?.key;
      return [...(key ? [{ text: "The query", to: href(serverPath(name, "q/" + key), spanOf(from, to), []) }] : []), load("Load by query", { by: "query" })];
    }
    case "transaction": {
      const pid = /^pid (\d+) /.exec(f.text)?.[1];
      return f.at ? [second("The session", f.at, { pid: pid ?? null })] : [];
    }
    case "xmin":
      return f.at ? [second("What held it", f.at)] : [];
    case "deadlocks":
    case "commits":
      return [...other("Databases", "databases"), load("Load by database", { by: "database" })];
    case "disk":
      return other("Disks", "disks");
  }
}

// ---------------------------------------------------------------- blockers

function Blockers({ i, name }: { i: IncidentBody; name: string }) {
  const [chosen, setChosen] = useState(0);
  useEffect(() => setChosen(0), [i]);
  const one = i.blockers[Math.min(chosen, i.blockers.length - 1)];
  const then = useAnswer(one ? "/api/v1/servers/{name}/history/at" : null, { name }, { at: one?.most_at, limit: 10000 });
  const trees = useMemo(() => then.data && treesOf(then.data.blocking, then.data.sessions), [then.data]);
  if (!one) return null;
  return (
    <section>
      <h2>What held others up</h2>
      <Table
        main label="blockers" file={`blockers ${i.at}`} rows={i.blockers} columns={blockerColumns} id={(b) => b.first_at + rootName(b.root)}
        open={(b) => setChosen(i.blockers.indexOf(b))} rowClass={(b) => (b === one ? "chosen" : "")}
      />
      <h3>
        Who waited when most did, <a href={href(instantPath(name, Date.parse(one.most_at)), {}, [])}>{near(Date.parse(one.most_at))}</a>
      </h3>
      <Asked answer={then}>
        {() => (
          <Tree
            label="who waited for whom" roots={trees!} first="Session" head={(w) => <Party w={w} />} columns={waiterColumns}
            open={(w) => go(href(instantPath(name, Date.parse(one.most_at)), { pid: w.pid ? String(w.pid) : null }, []))}
          />
        )}
      </Asked>
    </section>
  );
}

const blockerColumns: Column<BlockerRow>[] = [
  {
    id: "who", name: "blocker", wide: true, value: (b) => rootName(b.root),
    cell: (b) => <><b>{rootName(b.root)}</b> <span class={b.root.kind === "idle_in_transaction" ? "warn" : "muted"}>{kindText(b.root.kind)}</span></>,
  },
  { id: "behind", name: "behind it", number: true, title: "Sessions that waited for it when most did", value: (b) => b.root.sessions_behind },
  { id: "blocked", name: "for", number: true, title: "Time in which somebody waited for it", value: (b) => b.blocked_seconds, cell: (b) => age(b.blocked_seconds) },
  { id: "lost", name: "waited together", number: true, level: 2, title: "Time of all who waited, added up", value: (b) => b.session_seconds, cell: (b) => age(b.session_seconds) },
  { id: "first", name: "from", level: 2, value: (b) => b.first_at, cell: (b) => near(Date.parse(b.first_at)) },
  { id: "last", name: "to", level: 3, value: (b) => b.last_at, cell: (b) => near(Date.parse(b.last_at)) },
  { id: "lock", name: "lock", level: 2, value: (b) => lockText(b.root.lock) },
  { id: "query", name: "statement", wide: true, level: 3, value: (b) => b.root.query, cell: (b) => <span class="sql" title={b.root.query ?? ""}>{b.root.query ?? "–"}</span> },
];

// ---------------------------------------------------------------- tops, databases

function Top({ top, i, name }: { top: IncidentTop; i: IncidentBody; name: string }) {
  if (top.rows.length === 0) return null;
  const most = Math.max(...top.rows.flatMap((r) => [r.range?.average_active_sessions ?? 0, r.other_range?.average_active_sessions ?? 0]));
  const columns: Column<CompareRow>[] = [
    {
      id: "key", name: words(top.by), wide: true, value: (r) => labelOf(top.by, r),
      cell: (r) => (
        <span class={top.by === "query" ? "sql" : ""} title={labelOf(top.by, r)}>
          {r.wait_class && <i class="dot" style={{ background: `var(${classColour(r.wait_class)})` }} />}
          {labelOf(top.by, r)}
        </span>
      ),
    },
    { id: "bar", name: "share", level: 2, value: (r) => r.range?.average_active_sessions ?? null, cell: (r) => <Pair now={r.range?.average_active_sessions ?? 0} before={r.other_range?.average_active_sessions ?? 0} of={most} colour={r.wait_class} /> },
    { id: "now", name: "sessions", number: true, value: (r) => r.range?.average_active_sessions ?? null, cell: (r) => num(r.range?.average_active_sessions) },
    { id: "before", name: "hour before", number: true, value: (r) => r.other_range?.average_active_sessions ?? null, cell: (r) => num(r.other_range?.average_active_sessions) },
    {
      id: "change", name: "change", number: true, value: (r) => r.change,
      cell: (r) => (r.change === null ? <span class="muted">{top.baseline_ticks > 0 ? "new" : "–"}</span> : <span class={r.change >= 0.1 && r.change >= (r.other_range?.average_active_sessions ?? 0) ? "warn" : ""}>{changeText(r.change)}</span>),
    },
  ];
  const open = (r: CompareRow) => {
    const span = spanOf(Date.parse(i.from), Math.min(Date.parse(i.to), Date.now()));
    go(top.by === "query" && r.key ? href(serverPath(name, "q/" + r.key), span, []) : href(serverPath(name), { ...span, f: `${top.by}:${r.key ?? ""}` }, []));
  };
  return (
    <section>
      <Table label={`top by ${words(top.by)}`} rows={top.rows} columns={columns} id={(r) => r.key ?? "(none)"} sort={{ id: "now", down: true }} open={open} />
    </section>
  );
}

/** Now above before, on one scale. */
function Pair({ now, before, of, colour }: { now: number; before: number; of: number; colour: string | null }) {
  return (
    <span class="pair">
      <Bar total={now} of={of} split={colour ? { [colour]: now } : null} label={`${num(now)} sessions`} />
      <Bar total={before} of={of} label={`${num(before)} the hour before`} />
    </span>
  );
}

const databaseColumns: Column<IncidentDatabase>[] = [
  { id: "database", name: "database", wide: true, value: (d) => d.database },
  { id: "commits", name: "commits/s", number: true, value: (d) => d.commits_per_second, cell: (d) => num(d.commits_per_second) },
  { id: "before", name: "hour before", number: true, value: (d) => d.baseline_commits_per_second, cell: (d) => num(d.baseline_commits_per_second) },
  { id: "rollbacks", name: "rollbacks/s", number: true, level: 2, value: (d) => d.rollbacks_per_second, cell: (d) => num(d.rollbacks_per_second) },
  { id: "read", name: "blocks read/s", number: true, level: 2, value: (d) => d.blocks_read_per_second, cell: (d) => num(d.blocks_read_per_second) },
  { id: "read_before", name: "hour before", number: true, level: 3, value: (d) => d.baseline_blocks_read_per_second, cell: (d) => num(d.baseline_blocks_read_per_second) },
  { id: "hit", name: "blocks hit/s", number: true, level: 3, value: (d) => d.blocks_hit_per_second, cell: (d) => num(d.blocks_hit_per_second) },
  { id: "temp", name: "temp files/s", number: true, level: 3, value: (d) => d.temp_bytes_per_second, cell: (d) => bytes(d.temp_bytes_per_second) },
  { id: "deadlocks", name: "deadlocks", number: true, value: (d) => d.deadlocks, cell: (d) => <span class={d.deadlocks ? "bad" : ""}>{num(d.deadlocks)}</span> },
  { id: "connections", name: "connections", number: true, level: 2, title: "Most in the window", value: (d) => d.max_connections, cell: (d) => num(d.max_connections) },
];

export const incident: Page = { path: "s/{name}/incident", title: (p) => `Incident on ${p.name ?? ""}`, tab: "Incident", key: "i", view: Incident };
