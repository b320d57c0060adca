import type { AuditRow } from "../schema";
import { useAnswer } from "../lib/api";
import { go, here, iso, query } from "../lib/route";
import { instant } from "../lib/time";
import { Asked, Empty } from "../ui/empty";
import { Table, type Column } from "../ui/table";
import type { Page } from "./page";

const of = (r: AuditRow, what: string) => (r.detail[what] ?? null) as string | number | null;
const text = (r: AuditRow) => `session ${of(r, "pid") ?? "?"}${of(r, "user") ? ` of ${of(r, "user")}` : ""}${of(r, "application") ? `, ${of(r, "application")}` : ""}`;

const columns: Column<AuditRow>[] = [
  { id: "at", name: "when", value: (r) => r.at, cell: (r) => instant(Date.parse(r.at)) },
  { id: "account", name: "who", value: (r) => r.account },
  { id: "client", name: "from", level: 3, value: (r) => r.client_addr },
  { id: "action", name: "action", value: (r) => r.action },
  { id: "server", name: "server", level: 2, value: (r) => r.server },
  { id: "what", name: "of", level: 2, value: text },
  { id: "outcome", name: "outcome", value: (r) => r.outcome ?? "unknown", cell: (r) => <span class={r.outcome === "ok" ? "good" : "bad"}>{r.outcome ?? "unknown"}</span> },
  { id: "reason", name: "why", wide: true, value: (r) => r.reason, cell: (r) => <span title={r.reason ?? ""}>{r.reason}</span> },
];

const asks = ["account", "server", "action"];
const days: [string, string][] = [["1", "the last day"], ["7", "seven days"], ["30", "thirty days"], ["", "all that is kept"]];

function Audit() {
  const asked = Object.fromEntries(asks.map((a) => [a, query.value.get(a)])), since = query.value.get("days") ?? "";
  const from = Number(since) > 0 ? iso(Math.floor(Date.now() / 60e3) * 60e3 - Number(since) * 86400e3) : null;
  const answer = useAnswer("/api/v1/audit", {}, { ...asked, from, limit: 1000 });
  return (
    <>
      <h1>Audit</h1>
      <p>Who cancelled a statement or ended a session, who was not let, and what came of it. It is written before the act.</p>
      <div class="tools">
        {asks.map((a) => <label key={a}>{a} <input value={asked[a] ?? ""} size={16} onChange={(e) => go(here({ [a]: e.currentTarget.value.trim() || null }), true)} /></label>)}
        <label>of <select value={since} onChange={(e) => go(here({ days: e.currentTarget.value || null }), true)}>{days.map(([v, name]) => <option key={v} value={v}>{name}</option>)}</select></label>
      </div>
      <Asked answer={answer}>
        {(data) => data.items.length === 0 ? <Empty title="Nothing was done, and nothing refused" /> : (
          <>
            <Table main label="audit" file="audit" rows={data.items} columns={columns} id={(r) => String(r.id)} sort={{ id: "at", down: true }} />
            {data.next_cursor && <p class="note">These are the newest thousand: ask for less.</p>}
          </>
        )}
      </Asked>
    </>
  );
}

export const audit: Page = { path: "audit", title: () => "Audit", manage: "admin", view: Audit };
