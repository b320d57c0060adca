import { useEffect, useState } from "preact/hooks";
import type { StoredRow } from "../schema";
import { useAnswer } from "../lib/api";
import { bytes, percent, plural, words } from "../lib/format";
import { root } from "../lib/route";
import { age, near } from "../lib/time";
import { Asked, Empty } from "../ui/empty";
import { Table, type Column } from "../ui/table";
import type { Page } from "./page";

interface Ready {
  status: string;
  checks: { name: string; status: string }[];
}

/** What the API says of itself; asked without a token, as probes do. */
function useReady(): Ready | null {
  const [ready, setReady] = useState<Ready | null>(null);
  useEffect(() => {
    const ask = () => void fetch("/readyz").then((r) => r.json()).then(setReady, () => setReady({ status: "does not answer", checks: [] }));
    ask();
    const timer = setInterval(ask, 10_000);
    return () => clearInterval(timer);
  }, []);
  return ready;
}

const name = (r: StoredRow) => (r.step_seconds ? `${words(r.table)}, by ${age(r.step_seconds)}` : words(r.table));

const columns = (servers: number): Column<StoredRow>[] => [
  { id: "table", name: "What", wide: true, value: name },
  { id: "size", name: "Takes", number: true, value: (r) => r.total_bytes, cell: (r) => bytes(r.total_bytes) },
  { id: "day", name: "A day", number: true, value: (r) => r.bytes_per_day, cell: (r) => bytes(r.bytes_per_day && Math.round(r.bytes_per_day)) },
  {
    id: "each", name: "A server and day", number: true, level: 2, title: "On average", value: (r) => (r.bytes_per_day === null || servers === 0 ? null : r.bytes_per_day / servers),
    cell: (r) => (r.bytes_per_day === null || servers === 0 ? "–" : bytes(Math.round(r.bytes_per_day / servers))),
  },
  { id: "kept", name: "Kept", number: true, value: (r) => r.retention_seconds, cell: (r) => (r.retention_seconds === null ? "–" : r.retention_seconds === 0 ? "for ever" : age(r.retention_seconds)) },
  { id: "oldest", name: "From", level: 3, value: (r) => r.oldest, cell: (r) => (r.oldest ? near(Date.parse(r.oldest)) : "–") },
  { id: "drops", name: "Oldest goes", level: 4, value: (r) => r.drops_at, cell: (r) => (r.drops_at ? near(Date.parse(r.drops_at)) : "–") },
  { id: "rows", name: "Rows", number: true, level: 4, title: "Estimated", value: (r) => r.rows_estimated },
];

function Monitor() {
  const ready = useReady();
  const fleet = useAnswer("/api/v1/fleet", {}, { limit: 10000 }, 10);
  const storage = useAnswer("/api/v1/storage", {}, {}, 60);
  const watched = fleet.data?.servers.filter((s) => s.enabled) ?? [];
  const sum = (what: (c: (typeof watched)[number]["coverage"]) => number) => watched.reduce((n, s) => n + what(s.coverage), 0);
  const planned = sum((c) => c.planned), seen = sum((c) => c.ok + c.degraded), failed = sum((c) => c.failed), skipped = sum((c) => c.skipped);
  // In the first seconds of a server nothing is stored yet.
  const behind = planned > 60 && skipped > 0.1 * planned;
  const bad = ready?.checks.filter((c) => c.status !== "ok") ?? [];
  return (
    <>
      <h1>The monitor itself</h1>
      <ul class="findings">
        <li>
          <b>API</b>{" "}
          {ready === null ? "…" : ready.status === "ready" ? <span class="good">answers, and reaches stats_db</span> : (
            <span class="bad">{ready.status}{bad.length > 0 && `: ${bad.map((c) => c.name).join(", ")}`}. Its log says why.</span>
          )}
        </li>
        {fleet.data && (
          <li>
            <b>Collector</b>{" "}
            {planned === 0 ? (watched.length === 0 ? <>watches nothing: <a href={root + "servers"}>add a server</a></> : "has not looked at anything in ten minutes: is it running?") : (
              <>
                <span class={behind ? "bad" : seen > 0 ? "good" : ""}>{percent(seen / planned)} of {plural(planned, "visit")} of the last ten minutes answered</span>,{" "}
                {plural(failed, "failed visit")}, {skipped} left out{behind && ": the collector is not running, or does not keep up; its log says why"}.
              </>
            )}
          </li>
        )}
      </ul>
      <h2>What the history costs</h2>
      <Asked answer={storage} lines={8}>
        {(data) => (
          <>
            <p>
              <b>{bytes(data.total_bytes)}</b> of history in a database of {bytes(data.database_bytes)}. A day adds <b>{bytes(Math.round(data.bytes_per_day))}</b>
              {watched.length > 0 && <>, {bytes(Math.round(data.bytes_per_day / watched.length))} for each of {plural(watched.length, "server")}</>}. How long it is kept: <a href={root + "settings"}>settings</a>.
            </p>
            {data.tables.length === 0 ? <Empty title="Nothing is stored yet">The collector makes the tables when it starts.</Empty> : (
              <Table label="tables of the history" file="storage" rows={data.tables} columns={columns(watched.length)} id={name} sort={{ id: "size", down: true }} />
            )}
          </>
        )}
      </Asked>
    </>
  );
}

export const monitor: Page = { path: "monitor", title: () => "The monitor itself", manage: "viewer", view: Monitor };
