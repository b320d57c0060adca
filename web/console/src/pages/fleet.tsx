import { useMemo } from "preact/hooks";
import type { FleetRow } from "../schema";
import { useAnswer } from "../lib/api";
import { bytes, num, percent, plural } from "../lib/format";
import { useKeys } from "../lib/keys";
import { go, here, href, paused, query, serverPath } from "../lib/route";
import { age, near } from "../lib/time";
import { badness, troubles, type Reason } from "../lib/trouble";
import { Bar, Meter, type ByClass } from "../ui/bar";
import { Asked, Empty } from "../ui/empty";
import { Table, type Column } from "../ui/table";
import type { Page } from "./page";
import { NoServers } from "./servers";

interface Row extends FleetRow {
  reasons: Reason[];
  badness: number;
}

const every = 10; // seconds

function columns(most: number): Column<Row>[] {
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
      cell: (r) => (r.disk ? <span title={`${r.disk.mount_point}: ${bytes(r.disk.free_bytes)} of ${bytes(r.disk.total_bytes)} at ${near(Date.parse(r.disk.sampled_at))}`}>{percent(r.disk.free_percent / 100)}</span> : "–"),
    },
    { id: "full", name: "Full in", number: true, level: 3, title: "If the day's trend goes on", value: (r) => r.disk_full_in_hours, cell: (r) => (r.disk_full_in_hours === null ? "–" : age(r.disk_full_in_hours * 3600)) },
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

function Seen({ row }: { row: Row }) {
  const { planned, ok, degraded, failed, skipped } = row.coverage;
  if (planned === 0) return <>–</>;
  return <span title={`${ok + degraded} of ${planned} ticks answered, ${failed} failed, ${skipped} skipped`}>{percent((ok + degraded) / planned)}</span>;
}

function Fleet() {
  const answer = useAnswer("/api/v1/fleet", {}, { limit: 10000 }, paused.value ? undefined : every);
  const wanted = (query.value.get("q") ?? "").toLowerCase();
  useKeys([{ key: "/", does: "find a server", run: () => document.querySelector<HTMLInputElement>("#find")?.focus() }]);
  const rows = useMemo(
    () => answer.data?.servers.map((row): Row => {
      const reasons = troubles(row);
      return { ...row, reasons, badness: badness(row, reasons) };
    }),
    [answer.data],
  );
  return (
    <Asked answer={answer} lines={8}>
      {() => {
        const all = rows ?? [];
        if (all.length === 0) return <NoServers />;
        const fitting = wanted ? all.filter((r) => `${r.server} ${r.reasons.map((w) => w.text).join(" ")}`.toLowerCase().includes(wanted)) : all;
        const bad = all.filter((r) => (r.reasons[0]?.weight ?? 0) >= 60).length;
        const most = Math.max(1, ...fitting.map((r) => r.average_active_sessions ?? 0));
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
                main label="servers" file="fleet" rows={fitting} columns={columns(most)} id={(r) => r.server} rowHeight={34} sort={{ id: "worst", down: true }}
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
