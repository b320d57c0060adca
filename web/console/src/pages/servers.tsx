import { useMemo } from "preact/hooks";
import type { FleetRow, ServerRow } from "../schema";
import { useAnswer } from "../lib/api";
import { words } from "../lib/format";
import { allows } from "../lib/role";
import { go, here, href, query, root, serverPath } from "../lib/route";
import { age } from "../lib/time";
import { Asked, Empty } from "../ui/empty";
import { Table, type Column } from "../ui/table";
import { Paste } from "../ui/form";
import { grants } from "./server";
import type { Page } from "./page";

interface Row extends ServerRow {
  now: FleetRow | undefined;
}

/** How it goes with the watching of a server, in a few words. */
function stateOf({ enabled, now, password_broken, ssh }: Row): { text: string; class: string; rank: number } {
  if (!enabled) return { text: "paused", class: "muted", rank: 1 };
  if (password_broken || ssh.secret_broken) return { text: "set its password again", class: "bad", rank: 5 };
  if (!now || now.last_tick_at === null) return { text: "not looked at yet", class: "warn", rank: 3 };
  if (now.last_tick_outcome === "failed") return { text: words(now.last_tick_reason ?? "failed"), class: "bad", rank: 4 };
  if ((now.last_tick_age_seconds ?? 0) > 90) return { text: `not looked at for ${age(now.last_tick_age_seconds)}`, class: "bad", rank: 4 };
  if (now.last_tick_outcome === "degraded") return { text: `watched, but ${words(now.last_tick_reason ?? "not all")}`, class: "warn", rank: 2 };
  return { text: "watched", class: "good", rank: 0 };
}

const columns: Column<Row>[] = [
  { id: "name", name: "Server", wide: true, value: (r) => r.name, cell: (r) => <a class="name" href={href(serverPath(r.name, "edit"), {}, [])}>{r.name}</a> },
  { id: "state", name: "State", value: (r) => stateOf(r).rank + stateOf(r).text, cell: (r) => <span class={stateOf(r).class}>{stateOf(r).text}</span> },
  { id: "address", name: "Address", wide: true, value: (r) => `${r.host}:${r.port}` },
  { id: "user", name: "User", level: 2, value: (r) => r.user },
  { id: "tls", name: "TLS", level: 2, value: (r) => r.tls_mode },
  { id: "ssh", name: "Host", level: 3, title: "How its disks are looked at, or how it is reached", value: (r) => (r.ssh.user ? `${r.ssh.user}, ${r.ssh.tunnel ? "tunnel" : "SSH"}` : r.disk_source === "local" ? "local" : null) },
  { id: "texts", name: "Query texts", level: 3, value: (r) => r.query_texts },
  { id: "added", name: "Added", level: 4, value: (r) => r.created_at.slice(0, 10) },
];

function Servers() {
  const cursor = query.value.get("cursor");
  const answer = useAnswer("/api/v1/servers", {}, { limit: 1000, cursor }, 10);
  const fleet = useAnswer("/api/v1/fleet", {}, { limit: 10000 }, 10);
  const rows = useMemo(() => {
    const now = new Map(fleet.data?.servers.map((s) => [s.server, s]));
    return answer.data?.items.map((s): Row => ({ ...s, now: now.get(s.name) })) ?? [];
  }, [answer.data, fleet.data]);
  const add = allows("operator") && <a class="button primary" href={root + "servers/new"}>Add a server</a>;
  return (
    <Asked answer={answer} lines={6}>
      {(data) =>
        rows.length === 0 ? <NoServers /> : (
          <>
            <div class="tools"><h1>Servers</h1><span class="end">{add}</span></div>
            <Table main label="servers" file="servers" rows={rows} columns={columns} id={(r) => r.name} sort={{ id: "name", down: false }}
              open={(r) => go(href(serverPath(r.name, "edit"), {}, []))} rowClass={(r) => (r.enabled ? "" : "muted")} />
            {data.next_cursor && <p><a href={here({ cursor: data.next_cursor })}>More servers</a></p>}
          </>
        )
      }
    </Asked>
  );
}

/** What to do at first: who may says it by a form, others are told who may. */
export function NoServers() {
  return (
    <Empty title="No server is watched yet">
      <p>On the server to watch, as a superuser, make a role that may look and do nothing else:</p>
      <Paste text={grants("pgam")} what="the grants" />
      {allows("operator") ? (
        <p><a class="button primary" href={root + "servers/new"}>Add the server</a></p>
      ) : (
        <p>Then ask an operator or an administrator of pgam to add it: your role looks only.</p>
      )}
      <p class="muted">On the command line, where pgam runs: <code>pgam server add NAME --host HOST --user pgam --password-file FILE</code></p>
    </Empty>
  );
}

export const servers: Page = { path: "servers", title: () => "Servers", manage: "viewer", view: Servers };
