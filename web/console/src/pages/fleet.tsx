import { useMemo } from "preact/hooks";
import type { FleetRow } from "../schema";
import { useAnswer } from "../lib/api";
import { bytes, num, percent, plural } from "../lib/format";
import { useKeys } from "../lib/keys";
import { go, here, href, iso, now, paused, query, serverPath } from "../lib/route";
import { age, near, shortAge } from "../lib/time";
import { badness, troubles, type Reason } from "../lib/trouble";
import { Bar, Meter, type ByClass } from "../ui/bar";
import { Asked, Empty } from "../ui/empty";
import { eventText } from "../ui/lanes";
import { Strip } from "../ui/strip";
import { Table, type Column } from "../ui/table";
import type { Page } from "./page";
import { NoServers } from "./servers";

interface Row extends FleetRow {
  reasons: Reason[];
  /** Load of the minutes of the last hour; null: not seen. */
  minutes: (number | null)[];
  badness: number;
}

const every = 10; // seconds

const hour = 3600e3;

function columns(most: number, darkest: number): Column<Row>[] {
  return [
    {
      id: "server", name: "Server", wide: true, value: (r) => r.server,
      cell: (r) => <a class="name" href={href(serverPath(r.server), {}, ["last"])} title={r.server}>{r.server}</a>,
    },
    {
      id: "worst", name: "What is wrong", wide: true, number: true, value: (r) => r.badness,
      cell: (r) => <Why row={r} />,
    },
    {
      id: "hour", name: "Last hour", level: 2, title: "Average active sessions minute by minute, on one scale for all servers; hatched: not seen",
      value: (r) => r.minutes.reduce<number>((sum, v) => sum + (v ?? 0), 0), number: true, cell: (r) => <Hour row={r} darkest={darkest} />,
    },
    {
      id: "load", name: "Active now", number: true, title: "Average active sessions of the newest minute, by wait class", value: (r) => r.average_active_sessions,
      cell: (r) => (
        <span class="load">
          {r.average_active_sessions !== null && <Bar total={r.average_active_sessions} of={most} split={r.by_wait_class as ByClass | null} />}
          <b>{num(r.average_active_sessions)}</b>
        </span>
      ),
    },
    { id: "waiting", name: "Waiting", number: true, level: 2, title: "Sessions that wait for another", value: (r) => r.blocked_sessions, cell: (r) => <span class={r.blocked_sessions ? "bad" : ""}>{num(r.blocked_sessions)}</span> },
    { id: "xact", name: "Oldest transaction", number: true, level: 2, value: (r) => r.oldest_transaction_seconds, cell: (r) => age(r.oldest_transaction_seconds) },
    {
      id: "connections", name: "Connections", number: true, level: 2, value: (r) => (r.connections !== null && r.max_connections ? r.connections / r.max_connections : null),
      cell: (r) =>
        r.connections === null ? "–" : (
          <span class="load">
            {r.max_connections && <Meter value={r.connections} of={r.max_connections} text={`${r.connections} of ${r.max_connections}`} />}
            <b>{num(r.connections)}</b>
          </span>
        ),
    },
    {
      id: "disk", name: "Disk left", number: true, level: 3, value: (r) => (r.disk ? r.disk.free_percent : null),
      cell: (r) => (r.disk ? <a href={href(serverPath(r.server, "disks"))} title={`${r.disk.mount_point}: ${bytes(r.disk.free_bytes)} of ${bytes(r.disk.total_bytes)} at ${near(Date.parse(r.disk.sampled_at))}`}>{percent(r.disk.free_percent / 100)}</a> : "–"),
    },
    { id: "full", name: "Full in", number: true, level: 3, title: "If the day's trend goes on", value: (r) => r.disk_full_in_hours, cell: (r) => (r.disk_full_in_hours === null ? "–" : age(r.disk_full_in_hours * 3600)) },
    {
      id: "event", name: "Last event", level: 4, value: (r) => r.last_event?.at ?? null, number: true,
      cell: (r) => r.last_event && <span title={`${near(Date.parse(r.last_event.at))} ${r.last_event.detail ?? ""}`}>{eventText(r.last_event)}, {shortAge((Date.now() - Date.parse(r.last_event.at)) / 1000)} ago</span>,
    },
    {
      id: "version", name: "Version", level: 4, value: (r) => r.version,
      cell: (r) => r.version && <>{/^[0-9.a-z]+/.exec(r.version)?.[0]}{r.role === "standby" && <span class="muted"> standby</span>}</>,
    },
    {
      id: "coverage", name: "Seen", number: true, level: 3, title: "Part of the last ten minutes in which the server was looked at, and answered", value: (r) => (r.coverage.planned ? (r.coverage.ok + r.coverage.degraded) / r.coverage.planned : null),
      cell: (r) => <Seen row={r} />,
    },
  ];
}

function Why({ row }: { row: Row }) {
  const [first, ...rest] = row.reasons;
  if (!row.enabled) return <span class="muted">paused</span>;
  if (!first) return <span class="muted">–</span>;
  return (
    <span class="why" title={row.reasons.map((r) => r.text).join("\n")}>
      <span class={first.weight >= 60 ? "bad" : "warn"}>{first.text}</span>
      {rest.length > 0 && <span class="muted"> and {plural(rest.length, "more reason")}</span>}
    </span>
  );
}

/** The last hour as a strip: the root of the load, so that little is seen too. */
function Hour({ row, darkest }: { row: Row; darkest: number }) {
  const cells = useMemo(() => row.minutes.map((v) => ({ level: v === null ? null : Math.sqrt(v / darkest) })), [row.minutes, darkest]);
  const known = row.minutes.filter((v) => v !== null);
  return <Strip cells={cells} label={known.length ? `last hour: ${num(Math.max(...known))} at most, ${plural(cells.length - known.length, "minute")} not seen` : "not seen in the last hour"} />;
}

function Seen({ row }: { row: Row }) {
  const { planned, ok, degraded, failed, skipped } = row.coverage;
  if (planned === 0) return <>–</>;
  return <span title={`${ok + degraded} of ${planned} ticks answered, ${failed} failed, ${skipped} skipped`}>{percent((ok + degraded) / planned)}</span>;
}

function Fleet() {
  const answer = useAnswer("/api/v1/fleet", {}, { limit: 10000 }, paused.value ? undefined : every);
  // Minutes change once a minute.
  const end = Math.floor(now.value / 60e3) * 60e3;
  const minutes = useAnswer(answer.data ? "/api/v1/fleet/minutes" : null, {}, { from: iso(end - hour), to: iso(end) });
  const wanted = (query.value.get("q") ?? "").toLowerCase();
  useKeys([{ key: "/", does: "find a server", run: () => document.querySelector<HTMLInputElement>("#find")?.focus() }]);
  const rows = useMemo(
    () => {
      const known = new Map(minutes.data?.servers.map((s) => [s.server, s.average_active_sessions]));
      const none = Array<null>(minutes.data?.times.length ?? 60).fill(null);
      return answer.data?.servers.map((row): Row => {
        const reasons = troubles(row);
        return { ...row, reasons, badness: badness(row, reasons), minutes: known.get(row.server) ?? none };
      });
    },
    [answer.data, minutes.data],
  );
  return (
    <Asked answer={answer} lines={8}>
      {() => {
        const all = rows ?? [];
        if (all.length === 0) return <NoServers />;
        const fitting = wanted ? all.filter((r) => `${r.server} ${r.reasons.map((w) => w.text).join(" ")}`.toLowerCase().includes(wanted)) : all;
        const bad = all.filter((r) => (r.reasons[0]?.weight ?? 0) >= 60).length;
        const most = fitting.reduce((m, r) => Math.max(m, r.average_active_sessions ?? 0), 1);
        const darkest = all.reduce((m, r) => r.minutes.reduce<number>((n, v) => Math.max(n, v ?? 0), m), 1);
        return (
          <>
            <div class="tools">
              <h1>{bad > 0 ? <span class="bad">{plural(bad, "server needs", "servers need")} a look</span> : "Nothing stands out"}</h1>
              <span class="muted">of {plural(all.length, "server")}</span>
              <input
                id="find" type="search" placeholder="Find a server  /" aria-label="find a server" value={query.value.get("q") ?? ""}
                onInput={(e) => go(here({ q: e.currentTarget.value || null }), true)}
                onKeyDown={(e) => (e.key === "Enter" || e.key === "Escape") && e.currentTarget.blur()}
              />
            </div>
            {fitting.length === 0 ? (
              <Empty title="No server fits"><a href={here({ q: null })}>Show all</a></Empty>
            ) : (
              <Table
                main label="servers" file="fleet" rows={fitting} columns={columns(most, darkest)} id={(r) => r.server} rowHeight={34} sort={{ id: "worst", down: true }}
                open={(r) => go(href(serverPath(r.server), {}, ["last"]))} rowClass={(r) => (r.enabled ? "" : "muted")}
              />
            )}
          </>
        );
      }}
    </Asked>
  );
}

export const fleet: Page = { path: "", title: () => "Fleet", key: "f", view: Fleet };
