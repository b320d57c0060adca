import { useMemo } from "preact/hooks";
import type { SessionHistoryBody } from "../schema";
import { useAnswer } from "../lib/api";
import { num, plural } from "../lib/format";
import { go, here, href, iso, range, serverPath } from "../lib/route";
import { askedBackend, barsOf, classesOf, seenText, sides, statementsOf } from "../lib/spans";
import { age, instant as instantText, near } from "../lib/time";
import { SessionControl } from "../ui/control";
import { Asked, Empty } from "../ui/empty";
import { Gantt } from "../ui/gantt";
import { Table } from "../ui/table";
import { instantPath } from "./instant";
import { Pairs } from "./locks";
import type { Page } from "./page";

function SessionPage({ params }: { params: Record<string, string> }) {
  const name = params.name!, { from, to } = range.value, asked = askedBackend();
  const answer = useAnswer(asked.pid ? "/api/v1/servers/{name}/history/session" : null, { name }, { from: iso(from), to: iso(to), limit: 5000, ...asked });
  if (!asked.pid) {
    return (
      <Empty title="Which session?">
        <p>Open one from <a href={href(serverPath(name, "locks"))}>Locks</a> or <a href={href(instantPath(name, Date.now()))}>Instant</a>, or write its pid:</p>
        <form class="tools" onSubmit={(e) => {
          e.preventDefault();
          go(here({ pid: String(new FormData(e.currentTarget as HTMLFormElement).get("pid")) }));
        }}>
          <label>pid <input name="pid" type="number" min="1" required /></label>
          <button>Show</button>
        </form>
      </Empty>
    );
  }
  return <Asked answer={answer} lines={8}>{(data) => <Life data={data} name={name} from={from} to={to} />}</Asked>;
}

function Life({ data, name, from, to }: { data: SessionHistoryBody; name: string; from: number; to: number }) {
  const statements = useMemo(() => statementsOf(data.spans), [data]);
  const s = data.session;
  if (!s) {
    return (
      <Empty title={`No session ${askedBackend().pid ?? ""} was sampled on these days`}>
        <p>Sessions that were idle all the time, and those that were shorter than a look, are not kept. {seenText(data.coverage)}</p>
      </Empty>
    );
  }
  const { waited, heldUp } = sides(s, data.pairs);
  const seconds = (of: (kind: string) => boolean) => data.spans.filter((x) => of(x.kind)).reduce((sum, x) => sum + (Date.parse(x.to) - Date.parse(x.from)) / 1000, 0);
  const lock = data.spans.filter((x) => x.wait_class === "lock").reduce((sum, x) => sum + (Date.parse(x.to) - Date.parse(x.from)) / 1000, 0);
  const known: [string, string | null][] = [
    ["user", s.user], ["application", s.application], ["database", s.database], ["client", s.client_addr], ["backend", s.backend_type],
    ["connected since", s.backend_start && instantText(Date.parse(s.backend_start))],
    ["did something for", age(seconds((k) => k === "sampled"))], ["waited for locks for", lock > 0 ? age(lock) : null],
    ["idle, or not there, for", age(seconds((k) => k === "not_active"))], ["not seen for", seconds((k) => k === "not_seen") > 0 ? age(seconds((k) => k === "not_seen")) : null],
  ];
  return (
    <>
      <section class="detail" aria-label={`session ${s.pid}`}>
        <div class="tools">
          <h1>Session {s.pid}</h1>
          {data.leader_pid !== null && <a href={here({ pid: String(data.leader_pid), backend_start: null })}>parallel worker of {data.leader_pid}</a>}
        </div>
        <dl>{known.filter(([, v]) => v).map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>
        {s.pid && <SessionControl server={name} pid={s.pid} began={s.backend_start} look />}
      </section>
      {data.truncated && <p class="note warn">Only what came after {near(Date.parse(data.from))} is shown: the rest is too much to list, or no longer kept.</p>}
      <Gantt
        title="What it did" from={from} to={to} rows={[{ id: "me", name: String(s.pid), bars: barsOf(data) }]} legend={classesOf([data])}
        pick={(at) => go(href(instantPath(name, Math.round(at))))}
      />
      {statements.length === 0 ? (
        <Empty title="It did nothing in this range">
          <p>{seenText(data.coverage)}</p>
        </Empty>
      ) : (
        <section>
          <h2>Statements</h2>
          <Table
            main label="statements" file={`session ${s.pid}`} rows={statements} id={(x) => x.id ?? "none"} sort={{ id: "seconds", down: true }}
            open={(x) => x.id && go(href(serverPath(name, "q/" + x.id)))}
            columns={[
              { id: "seconds", name: "for", number: true, value: (x) => x.seconds, cell: (x) => age(x.seconds) },
              { id: "waited", name: "waiting for locks", number: true, value: (x) => x.waited, cell: (x) => (x.waited > 0 ? age(x.waited) : "") },
              { id: "spans", name: "spans", number: true, level: 2, value: (x) => x.spans, cell: (x) => num(x.spans) },
              { id: "query", name: "statement", wide: true, value: (x) => x.query ?? x.id, cell: (x) => <span class="sql" title={x.query ?? ""}>{x.query ?? (x.id ? `query ${x.id}` : "no statement")}</span> },
            ]}
          />
        </section>
      )}
      {waited.length > 0 && <section><h2>It waited for {plural(waited.length, "other")}</h2><Pairs pairs={waited} name={name} /></section>}
      {heldUp.length > 0 && <section><h2>{plural(heldUp.length, "session")} waited for it</h2><Pairs pairs={heldUp} name={name} /></section>}
    </>
  );
}

export const session: Page = { path: "s/{name}/session", title: (p) => `Session of ${p.name ?? ""}`, ranged: true, view: SessionPage };
