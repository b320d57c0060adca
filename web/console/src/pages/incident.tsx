import { useMemo } from "preact/hooks";
import type { FindingOf, IncidentBody, IncidentTop } from "../schema";
import { drawingOf, labelOf } from "../lib/activity";
import { useAnswer } from "../lib/api";
import { kindText, lockText } from "../lib/blocking";
import { copy, save } from "../lib/copy";
import { bytes, num, plural } from "../lib/format";
import { useKeys } from "../lib/keys";
import { dimensionNames, go, here, href, iso, query, serverPath, spanOf, type Dimension } from "../lib/route";
import { age, near, parseSpan, spanText } from "../lib/time";
import { Chart } from "../ui/chart";
import { Asked, Empty } from "../ui/empty";
import { EventLane, eventText } from "../ui/lanes";
import { Table } from "../ui/table";
import { instantPath } from "./instant";
import type { Page } from "./page";

const windows = ["2m", "10m", "30m", "1h", "2h"];

function Incident({ params }: { params: Record<string, string> }) {
  const name = params.name!, asked = Date.parse(query.value.get("at") ?? "");
  const window = parseSpan(query.value.get("window") ?? "") ? query.value.get("window")! : "10m";
  const answer = useAnswer("/api/v1/servers/{name}/incident", { name }, { at: Number.isNaN(asked) ? null : iso(asked), window });
  const at = answer.data ? Date.parse(answer.data.at) : asked;
  const move = (by: number) => go(here({ at: iso(at + by * parseSpan(window)!) }), true);
  useKeys(
    [
      { key: "[", does: "the window before", run: () => move(-1) },
      { key: "]", does: "the window after", run: () => move(1) },
      { key: "e", does: "export as JSON", run: () => answer.data && exported(answer.data) },
    ],
    [answer.data, window],
  );
  return (
    <>
      <div class="tools">
        <h1>What happened{Number.isNaN(at) ? "" : ` around ${near(at)}`}</h1>
        <span class="segments" role="group" aria-label="length of what is looked at">
          {windows.map((w) => <a key={w} href={here({ window: w, at: Number.isNaN(at) ? null : iso(at) })} aria-current={w === window ? "true" : undefined}>{w}</a>)}
        </span>
        <span class="segments">
          <button onClick={() => move(-1)} aria-label="the window before" title="The window before  [">←</button>
          <button onClick={() => move(1)} aria-label="the window after" title="The window after  ]">→</button>
        </span>
        {answer.data && (
          <>
            <button onClick={() => void copy(markdownOf(answer.data!), "the incident as Markdown")}>Copy as Markdown</button>
            <button onClick={() => exported(answer.data!)}>JSON</button>
            <button onClick={() => print()}>Print</button>
          </>
        )}
      </div>
      <Asked answer={answer} lines={10}>{(data) => <Story data={data} name={name} />}</Asked>
    </>
  );
}

function Story({ data, name }: { data: IncidentBody; name: string }) {
  const from = Date.parse(data.from), to = Date.parse(data.to), at = Date.parse(data.at);
  const drawing = useMemo(() => drawingOf(data.timeline), [data]);
  return (
    <>
      <section>
        {data.findings.length === 0 ? (
          <Empty title="Nothing stands out">The load, the waits and the transactions were as in the hour before.</Empty>
        ) : (
          <ol class="findings">
            {data.findings.map((f, i) => (
              <li key={i} class={f.severity}>
                <span class="severity">{f.severity}</span>
                <span>{f.text}</span>
                <a href={proofOf(f, name, from, to)}>show</a>
              </li>
            ))}
          </ol>
        )}
        {data.missing.length > 0 && (
          <div class="problem">
            <p>Not known, so that its absence is no good sign:</p>
            <ul>{data.missing.map((m) => <li key={m}>{m}</li>)}</ul>
          </div>
        )}
      </section>
      <Chart
        title="Active sessions" stacked from={from} to={to} times={drawing.times} step={drawing.step} series={drawing.series} note={drawing.note} height={180}
        marks={[{ at }]} pick={(t) => go(href(instantPath(name, t)))}
      />
      <EventLane events={data.events.toReversed()} from={from} to={to} pick={(t) => go(href(instantPath(name, t)))} />
      {data.blockers.length > 0 && (
        <section>
          <h2>What held others up</h2>
          <Table
            label="blockers" rows={data.blockers} id={(b) => `${b.root.pid} ${b.root.prepared_transaction} ${b.first_at}`} file={`blockers ${data.from}`}
            open={(b) => go(href(instantPath(name, Date.parse(b.most_at) + 999), { pid: b.root.pid ? String(b.root.pid) : null }))}
            columns={[
              { id: "who", name: "who", value: (b) => b.root.prepared_transaction ?? b.root.pid, cell: (b) => <b>{b.root.prepared_transaction ? `prepared ${b.root.prepared_transaction}` : (b.root.pid ?? "not seen")}</b> },
              { id: "application", name: "application", level: 2, value: (b) => b.root.application },
              { id: "kind", name: "what it did", value: (b) => kindText(b.root.kind), level: 2 },
              { id: "from", name: "from", value: (b) => b.first_at, cell: (b) => near(Date.parse(b.first_at)) },
              { id: "long", name: "for", number: true, value: (b) => b.blocked_seconds, cell: (b) => age(b.blocked_seconds) },
              { id: "behind", name: "sessions", number: true, title: "Sessions that waited for it, each once", value: (b) => b.sessions_blocked },
              { id: "waited", name: "waited in all", number: true, value: (b) => b.session_seconds, cell: (b) => age(b.session_seconds) },
              { id: "lock", name: "lock", level: 3, value: (b) => lockText(b.root.lock) },
              { id: "query", name: "statement", wide: true, value: (b) => b.root.query, cell: (b) => <span class="sql" title={b.root.query ?? ""}>{b.root.query ?? "–"}</span> },
            ]}
          />
        </section>
      )}
      <div class="two">{data.tops.map((top) => <TopOf key={top.by} top={top} from={from} to={to} name={name} />)}</div>
      <p class="muted">Compared with the hour before, {spanText(Date.parse(data.baseline_from), Date.parse(data.baseline_to))}.</p>
      {data.databases.length > 0 && (
        <section>
          <h2>Databases</h2>
          <Table
            label="databases" rows={data.databases} id={(d) => d.database} sort={{ id: "commits", down: true }} file={`databases ${data.from}`}
            columns={[
              { id: "database", name: "database", wide: true, value: (d) => d.database },
              { id: "commits", name: "commits / s", number: true, value: (d) => d.commits_per_second, cell: (d) => num(d.commits_per_second) },
              { id: "before", name: "before", number: true, value: (d) => d.baseline_commits_per_second, cell: (d) => <span class="muted">{num(d.baseline_commits_per_second)}</span> },
              { id: "rollbacks", name: "rollbacks / s", number: true, level: 2, value: (d) => d.rollbacks_per_second, cell: (d) => num(d.rollbacks_per_second) },
              { id: "read", name: "blocks read / s", number: true, level: 2, value: (d) => d.blocks_read_per_second, cell: (d) => num(d.blocks_read_per_second) },
              { id: "temp", name: "temporary / s", number: true, level: 3, value: (d) => d.temp_bytes_per_second, cell: (d) => bytes(d.temp_bytes_per_second && Math.round(d.temp_bytes_per_second)) },
              { id: "deadlocks", name: "deadlocks", number: true, value: (d) => d.deadlocks },
              { id: "connections", name: "connections", number: true, level: 2, value: (d) => d.max_connections },
            ]}
          />
        </section>
      )}
    </>
  );
}

function TopOf({ top, from, to, name }: { top: IncidentTop; from: number; to: number; name: string }) {
  const by = top.by as Dimension;
  return (
    <section>
      <h2>By {dimensionNames[by]}</h2>
      <Table
        label={`by ${dimensionNames[by]}`} rows={top.rows} id={(r) => r.key ?? "(none)"}
        open={(r) => go(href(serverPath(name), { ...spanOf(from, to), f: [`${by}:${r.key ?? ""}`] }))}
        columns={[
          { id: "key", name: dimensionNames[by], wide: true, value: (r) => labelOf(by, r), cell: (r) => <span class={by === "query" ? "sql" : ""} title={labelOf(by, r)}>{labelOf(by, r)}</span> },
          { id: "now", name: "sessions", number: true, value: (r) => r.range?.average_active_sessions ?? null, cell: (r) => num(r.range?.average_active_sessions) },
          { id: "before", name: "before", number: true, value: (r) => r.other_range?.average_active_sessions ?? null, cell: (r) => <span class="muted">{num(r.other_range?.average_active_sessions)}</span> },
          { id: "most", name: "most", number: true, level: 2, value: (r) => r.range?.max_sessions ?? null, cell: (r) => num(r.range?.max_sessions) },
        ]}
      />
    </section>
  );
}

/** Where one sees what a finding says. */
function proofOf(f: FindingOf, name: string, from: number, to: number): string {
  const load = (by: string) => href(serverPath(name), { ...spanOf(from, to), f: null, by, at: null });
  if (f.at) return href(instantPath(name, Date.parse(f.at) + 999), {});
  const views: Record<string, string> = { wait: "wait_event", query: "query", load: "wait_class" };
  return load(views[f.rule] ?? "wait_class");
}

function exported(data: IncidentBody): void {
  save(`incident ${data.server} ${data.at}.json`, "application/json", JSON.stringify(data, null, 2));
}

/** What a person would paste into a ticket. Texts of others stand in code, so that they make no markup. */
export function markdownOf(data: IncidentBody): string {
  const code = (text: string | number | null | undefined) => "`" + String(text ?? "–").replace(/\s+/g, " ").replaceAll("`", "'").replaceAll("|", "\\|") + "`";
  const lines = [
    `# ${data.server} around ${data.at}`, "", `${data.from} to ${data.to}, ${location.href}`, "",
    ...data.findings.map((f) => `- **${f.severity}** ${code(f.text)}`),
    ...(data.missing.length ? ["", "Not known:", ...data.missing.map((m) => `- ${m}`)] : []),
  ];
  if (data.blockers.length) {
    lines.push("", "| blocker | application | what it did | from | waited for | sessions | statement |", "|---|---|---|---|---|---|---|");
    for (const b of data.blockers) {
      lines.push(`| ${code(b.root.prepared_transaction ?? b.root.pid)} | ${code(b.root.application)} | ${kindText(b.root.kind)} | ${b.first_at} | ${age(b.blocked_seconds)} | ${b.sessions_blocked} | ${code(b.root.query)} |`);
    }
  }
  for (const top of data.tops) {
    lines.push("", `| ${dimensionNames[top.by as Dimension]} | sessions | before |`, "|---|---|---|");
    for (const r of top.rows.slice(0, 5)) lines.push(`| ${code(labelOf(top.by, r))} | ${num(r.range?.average_active_sessions)} | ${num(r.other_range?.average_active_sessions)} |`);
  }
  if (data.events.length) lines.push("", ...data.events.map((e) => `- ${e.at} ${code(eventText(e))}`));
  lines.push("", `${plural(data.coverage.ok + data.coverage.degraded, "tick")} of ${data.coverage.planned} answered.`, "");
  return lines.join("\n");
}

export const incident: Page = { path: "s/{name}/incident", title: (p) => `${p.name ?? ""} incident`, tab: "Incident", key: "i", view: Incident };
