import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ServerRow, TestBody } from "../schema";
import { addressOf, Problem as Cause, send, session, useAnswer } from "../lib/api";
import { tell } from "../lib/copy";
import { changesOf, draftOf, type Draft, type Kind } from "../lib/draft";
import { words } from "../lib/format";
import { go, href, root, serverPath } from "../lib/route";
import { allows } from "../lib/role";
import { Asked, Problem } from "../ui/empty";
import { Choice, Doom, Paste, Refused, Secret, Text, Tick, useSending } from "../ui/form";
import type { Page } from "./page";

const one = "/api/v1/servers/{name}";

const fields: Record<string, Kind> = {
  name: {}, host: {}, port: { number: true }, database: {}, user: {}, tls_mode: {}, allow_md5: {}, enabled: {},
  "ssh.tunnel": {}, "ssh.user": {}, "ssh.host": { empty: null }, "ssh.port": { number: true }, "ssh.key": { empty: null }, "ssh.host_key": { empty: null },
  disk_source: {}, query_texts: {}, pool_profile: {}, session_control: { empty: null }, cpu_count: { number: true, empty: null },
  "intervals.activity_seconds": { number: true, empty: 0 }, "intervals.databases_seconds": { number: true, empty: 0 },
  "intervals.inventory_seconds": { number: true, empty: 0 }, "intervals.sizes_seconds": { number: true, empty: 0 },
  "intervals.disks_seconds": { number: true, empty: 0 },
  "burst.active": { number: true, empty: null }, "burst.lock_waits": { number: true, empty: null }, "burst.connections_percent": { number: true, empty: null },
};
const secrets = ["password", "ssh.password"];

/** How the texts of refusals begin that name no field of the body. */
const begins: [RegExp, string][] = [
  [/^(?:name|the name|Server with this name)\b/, "name"], [/^the stored ssh_password\b/, "ssh.password"], [/^the stored password\b/, "password"],
  [/^ssh_host_key\b/, "ssh.host_key"], [/^(?:ssh_host\b|.*needs ssh_host)/, "ssh.host"], [/^(?:ssh_user\b|.*needs ssh_user)/, "ssh.user"], [/^ssh_port\b/, "ssh.port"],
  [/^ssh_password\b/, "ssh.password"], [/^ssh\.key\b/, "ssh.key"], [/^host\b/, "host"], [/^port\b/, "port"], [/^user\b/, "user"], [/^database\b/, "database"],
  [/^password\b/, "password"], [/^tls mode\b/, "tls_mode"], [/^query_texts\b/, "query_texts"], [/session_control/, "session_control"], [/^cpu_count/, "cpu_count"], [/^disk_source\b/, "disk_source"],
  [/^burst_active\b/, "burst.active"], [/^burst_lock/, "burst.lock_waits"], [/^burst_conn/, "burst.connections_percent"],
  ...["activity", "databases", "inventory", "sizes", "disks"].map((n): [RegExp, string] => [new RegExp(`^${n} interval`), `intervals.${n}_seconds`]),
];

const blank: Draft = {
  ...draftOf({}, fields), port: "5432", database: "postgres", tls_mode: "prefer", allow_md5: false, enabled: true,
  "ssh.tunnel": false, "ssh.port": "22", disk_source: "auto", query_texts: "normalized", pool_profile: "default",
};

/** A server that was just saved to be tested. */
const toTest = signal<string | null>(null);

const quoted = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

/** What an administrator of the server pastes, so that pgam may look and do nothing else. */
export function grants(user: string): string {
  const role = quoted(user || "pgam");
  return `create role ${role} login password 'a long random one';\ngrant pg_monitor to ${role};`;
}

/** What cures a finding, to be pasted on the server; null: its text says all. */
function cure(name: string, detail: string, user: string): string | null {
  if (/before PostgreSQL 10/.test(detail)) return null;
  switch (name) {
    case "privileges":
    case "data_directory":
      return `grant pg_monitor to ${quoted(user)};`;
    case "superuser":
      return `alter role ${quoted(user)} nosuperuser;\ngrant pg_monitor to ${quoted(user)};`;
    case "connection":
      return /authentication failed/.test(detail) ? `-- where the role is missing:\n${grants(user)}\n-- where it has another password:\nalter role ${quoted(user)} password 'the one that was typed here';` : null;
  }
  return null;
}

function New() {
  if (!allows("operator")) return <Forbidden />;
  return (
    <>
      <h1>Add a server</h1>
      <ServerForm row={null} />
    </>
  );
}

const Forbidden = () => (
  <div class="problem" role="alert">
    <p>Servers are added and changed by operators. You are logged in as {session.value?.username} with the role {session.value?.role}: ask an administrator.</p>
  </div>
);

function Edit({ params }: { params: Record<string, string> }) {
  const answer = useAnswer(one, { name: params.name! });
  return (
    <Asked answer={answer}>
      {(row) => (
        <>
          <div class="tools"><h1>{row.name}</h1>{!row.enabled && <span class="muted">paused</span>}</div>
          {!allows("operator") && <Forbidden />}
          <ServerForm key={row.id} row={row} saved={answer.again} />
        </>
      )}
    </Asked>
  );
}

function ServerForm({ row, saved }: { row: ServerRow | null; saved?: () => void }) {
  const was = row ? draftOf(row, fields) : blank;
  const [draft, setDraft] = useState<Draft>({ ...was, password: null, "ssh.password": null });
  const [tested, setTested] = useState(0);
  const { busy, faults, run } = useSending([...Object.keys(fields), ...secrets], begins);
  const keys = useAnswer(allows("operator") ? "/api/v1/ssh-keys" : null, {}, { limit: 1000 });
  useEffect(() => {
    if (!row || toTest.peek() !== row.name) return;
    toTest.value = null;
    setTested((n) => n + 1);
  }, [row?.name]);

  const text = (path: string) => ({
    name: path, value: String(draft[path] ?? ""), fault: faults.at[path], set: (v: string) => setDraft((d) => ({ ...d, [path]: v })),
  });
  const tick = (path: string) => ({ name: path, value: draft[path] === true, fault: faults.at[path], set: (v: boolean) => setDraft((d) => ({ ...d, [path]: v })) });
  const secret = (path: string) => ({
    name: path, value: draft[path] as string | null, fault: faults.at[path], set: (v: string | null) => setDraft((d) => ({ ...d, [path]: v })),
  });
  const differs = (...paths: string[]) => row !== null && paths.some((p) => draft[p] !== was[p]);
  const tunnel = draft["ssh.tunnel"] === true || row?.ssh.tunnel === true;
  const moved = differs("host", "port", "user", "database", "tls_mode", "allow_md5", "ssh.tunnel") || (tunnel && differs("ssh.host", "ssh.port", "ssh.host_key"));
  const shellMoved = differs("ssh.user", "ssh.port", "ssh.host") || (draft["ssh.host"] === "" && differs("host"));

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const test = (event.submitter as HTMLButtonElement | null)?.value === "test";
    void run(async () => {
      const body = changesOf(draft, was, fields, secrets);
      let name = row?.name ?? String(draft.name).trim();
      if (!row) await send("POST", "/api/v1/servers", { ...body, name, host: String(draft.host).trim(), user: String(draft.user).trim() });
      else if (Object.keys(body).length > 0) name = (await send<ServerRow>("PATCH", addressOf(one, { name: row.name }), body)).name;
      else if (!test) return tell("Nothing was changed");
      tell(row ? "Saved" : `Added ${name}`);
      setDraft((d) => ({ ...d, password: null, "ssh.password": null }));
      if (name === row?.name) {
        saved?.();
        if (test) setTested((n) => n + 1);
        return;
      }
      if (test) toTest.value = name;
      go(test || row ? href(serverPath(name, "edit"), {}, []) : root + "servers", row !== null);
    });
  };
  const user = String(draft.user).trim();
  return (
    <div class="manage">
      <div>
        <form class="form" onSubmit={submit}>
          <fieldset disabled={!allows("operator")}>
            {!row && (
              <section>
                <h2>1. Let pgam look</h2>
                <p>On the server, as a superuser, make a role that may look and do nothing else:</p>
                <Paste text={grants(user)} what="the grants" />
              </section>
            )}
            <section>
              <h2>{row ? "PostgreSQL" : "2. Say where it is"}</h2>
              <div class="fields">
                <Text {...text("name")} label="Name" required hint={row ? "Another name: the history follows." : "What it is called here, such as prod-db1."} />
                <Text {...text("host")} label="Host" required hint="A name, an address, or the folder of a Unix socket." />
                <Text {...text("port")} label="Port" type="number" min={1} max={65535} required />
                <Text {...text("user")} label="User" required placeholder="pgam" />
                <Secret {...secret("password")} label="Password" has={row?.has_password ?? false} must={moved && row?.has_password ? "The stored one is for the old address: type it again." : undefined}
                  hint={row?.password_broken ? <span class="bad">The stored one cannot be opened any more: set it again.</span> : row?.has_password ? undefined : "Empty where the server asks for none."} />
                <Text {...text("database")} label="Database" hint="To connect to; all of the server are watched." />
                <Choice {...text("tls_mode")} label="TLS" of={tlsModes} />
              </div>
              <Tick {...tick("allow_md5")} label="Answer a server that asks for MD5"
                hint="Old servers do. Who stands in for such a server can guess the password, unless TLS verifies who it is." />
            </section>
            <Shell row={row} draft={draft} text={text} tick={tick} secret={secret} moved={shellMoved} keys={keys.data?.items.map((k) => k.name) ?? []} open={Object.keys(faults.at).some((f) => /^(ssh\.|cpu)/.test(f))} />
            <More text={text} tick={tick} row={row} open={Object.keys(faults.at).some((f) => /^(intervals|burst|query|pool|session|enabled)/.test(f))} />
            <Refused faults={faults} />
            <p class="buttons">
              <button class="primary" value="test" disabled={busy}>{busy ? "Saving …" : row ? "Save and test" : "Add and test"}</button>
              <button disabled={busy}>{row ? "Save" : "Add"}</button>
              <a class="button" href={row ? href(serverPath(row.name), {}, []) : root + "servers"}>{row ? "Back to the server" : "Cancel"}</a>
            </p>
          </fieldset>
        </form>
        {row && allows("operator") && <Delete row={row} />}
      </div>
      {row && tested > 0 && <aside><Tested key={tested} row={row} saved={saved} again={() => setTested((n) => n + 1)} /></aside>}
    </div>
  );
}

const tlsModes: [string, string][] = [
  ["prefer", "prefer: if the server offers it"], ["require", "require: encrypted, whoever it is"], ["verify-ca", "verify-ca: of a known authority"],
  ["verify-full", "verify-full: and of this name"], ["allow", "allow: only if the server insists"], ["disable", "disable: never"],
];

interface Parts {
  row: ServerRow | null;
  text: (path: string) => { name: string; value: string; fault?: string; set: (v: string) => void };
  tick: (path: string) => { name: string; value: boolean; fault?: string; set: (v: boolean) => void };
  open: boolean;
}

/** A part of the form that most servers do without. */
function Part({ title, says, open, children }: { title: string; says: string; open: boolean; children: ComponentChildren }) {
  const [was] = useState(open);
  return (
    <details class="part" open={open || was}>
      <summary><h2>{title}</h2> <span class="muted">{says}</span></summary>
      {children}
    </details>
  );
}

function Shell({ row, draft, text, tick, secret, moved, keys, open }: Parts & {
  draft: Draft; moved: boolean; keys: string[]; secret: (path: string) => { name: string; value: string | null; fault?: string; set: (v: string | null) => void };
}) {
  const stored = row?.ssh.key, names = stored && !keys.includes(stored) ? [stored, ...keys] : keys;
  return (
    <Part title="The host" says={row?.ssh.user ? `as ${row.ssh.user} by SSH` : "disks, and PostgreSQL through SSH"} open={open || !!row?.ssh.user}>
      <p>For how full its disks are, and when they will be. Without it everything else works.</p>
      <div class="fields">
        <Choice {...text("disk_source")} label="Look at the disks" of={[["auto", "by SSH, where a user is given"], ["ssh", "by SSH"], ["local", "here: pgam runs on the host"], ["none", "not at all"]]} />
        <Text {...text("cpu_count")} label="CPUs" type="number" min={1} max={65536} placeholder="as the host says" hint="Those that PostgreSQL may use, where a container has fewer than its host." />
        <Text {...text("ssh.user")} label="SSH user" hint="One without any rights is enough. Empty: nobody logs in." />
        <Text {...text("ssh.host")} label="SSH host" placeholder={String(draft.host) || "the server's own"} hint="Empty: the server's own." />
        <Text {...text("ssh.port")} label="SSH port" type="number" min={1} max={65535} />
        <Choice {...text("ssh.key")} label="Logs in with" of={[["", "a password"], ...names.map((n): [string, string] => [n, `the key ${n}`])]}
          hint={<a href={root + "ssh-keys"}>SSH keys</a>} />
        {draft["ssh.key"] === "" && (
          <Secret {...secret("ssh.password")} label="SSH password" has={row?.ssh.has_password ?? false} must={moved && row?.ssh.has_password ? "The stored one is for the old address: type it again." : undefined}
            hint={row?.ssh.secret_broken ? <span class="bad">The stored one cannot be opened any more: set it again.</span> : undefined} />
        )}
      </div>
      <Tick {...tick("ssh.tunnel")} label="Reach PostgreSQL through SSH" hint="Host and port above are then as the SSH host sees them, such as 127.0.0.1." />
      <Text {...text("ssh.host_key")} label="Host key" lines={2} placeholder="ssh-ed25519 AAAA…"
        hint={row?.ssh.host_key_fingerprint && draft["ssh.host_key"] === row.ssh.host_key
          ? <>Confirmed: <code>{row.ssh.host_key_fingerprint}</code>. Only a host that has it is logged in to.</>
          : "May stay empty: the test shows what the host has, to compare and confirm."} />
    </Part>
  );
}

const controls: [string, string][] = [["", "do as for all"], ["off", "do nothing"], ["cancel", "cancel statements"], ["terminate", "cancel statements, end sessions"]];

const intervals: [string, string, number][] = [
  ["activity", "Sessions", 60], ["databases", "Databases", 3600], ["inventory", "Settings and roles", 86400], ["sizes", "Sizes", 604800], ["disks", "Disks", 86400],
];

function More({ row, text, tick, open }: Parts) {
  const texts: [string, string][] = [["normalized", "without literals"], ["none", "not at all"]];
  if (allows("admin") || row?.query_texts === "full") texts.push(["full", "as they are, literals too"]);
  return (
    <Part title="How it is watched" says="intervals, query texts, pause" open={open || row?.enabled === false}>
      <Tick {...tick("enabled")} label="Watch it" hint="Without the tick it is paused: nothing is asked, and its history stays." />
      <div class="fields">
        <Choice {...text("query_texts")} label="Keep query texts" of={texts} hint={allows("admin") ? undefined : "Only an administrator sets them to be kept as they are."} />
        <Choice {...text("pool_profile")} label="Connections of the API" of={[["default", "the usual"], ["stats_db", "more: it is stats_db"], ["high_load", "fewer and patient: high load"]]} />
        <Choice {...text("session_control")} label="With its sessions operators may" disabled={!allows("admin")} of={controls}
          hint={`In force: ${row?.session_control_in_force ?? "as for all"}. ${allows("admin") ? "PGAM_SESSION_CONTROL is for all; pgam's role needs pg_signal_backend." : "An administrator changes it."}`} />
      </div>
      <h3>How often, in seconds</h3>
      <div class="fields narrow">
        {intervals.map(([name, label, most]) => <Text key={name} {...text(`intervals.${name}_seconds`)} label={label} type="number" min={1} max={most} placeholder="as set" />)}
      </div>
      <h3>Look in full detail for a while from</h3>
      <div class="fields narrow">
        <Text {...text("burst.active")} label="active sessions" type="number" min={0} max={1000000} placeholder="as set" />
        <Text {...text("burst.lock_waits")} label="sessions waiting for a lock" type="number" min={0} max={1000000} placeholder="as set" />
        <Text {...text("burst.connections_percent")} label="% of max_connections" type="number" min={0} max={100} placeholder="as set" />
      </div>
      <p class="says">Empty: as in <a href={root + "settings"}>settings</a>. 0: never.</p>
    </Part>
  );
}

/** Tries the server as it is stored, and says what is missing and what cures it. */
function Tested({ row, saved, again }: { row: ServerRow; saved?: () => void; again: () => void }) {
  const [found, setFound] = useState<TestBody | null>(null);
  const [problem, setProblem] = useState<Cause | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    send<TestBody>("POST", addressOf(one + "/test", { name: row.name }), undefined, stop.signal).then(setFound, (cause: unknown) => {
      if (stop.signal.aborted) return;
      if (!(cause instanceof Cause)) throw cause;
      setProblem(cause);
    });
    return () => stop.abort();
  }, []);
  if (problem) return <Problem cause={problem} again={again} />;
  if (!found) return <section class="panel" aria-busy="true"><h2>Testing …</h2><p class="muted">Connecting to {row.host} as {row.user}.</p></section>;
  const missing = found.findings.filter((f) => !f.ok).length;
  return (
    <section class="panel" aria-label="test" role="status">
      <h2 class={found.ok ? "good" : "bad"}>{found.ok ? (missing > 0 ? "It works; something could be better" : "All is well") : "Something is missing"}</h2>
      {found.version && <p class="muted">PostgreSQL {found.version}{found.in_recovery ? ", a standby" : ""}, in {found.duration_seconds.toFixed(2)} s</p>}
      <ul class="findings">
        {found.findings.map((f) => {
          const paste = f.ok ? null : cure(f.name, f.detail, row.user);
          return (
            <li key={f.name}>
              <b class={f.ok ? "good" : "bad"} aria-label={f.ok ? "good" : "missing"}>{f.ok ? "✓" : "✗"}</b> <b>{words(f.name)}</b>
              {f.name === "host_key" && found.host_key && !found.host_key.confirmed
                ? <Pin row={row} shown={found.host_key} done={() => { saved?.(); again(); }} />
                : <p>{f.detail}</p>}
              {paste && <><p class="says">On the server, as a superuser:</p><Paste text={paste} what="the cure" /></>}
            </li>
          );
        })}
      </ul>
      <p class="buttons">
        <button onClick={again}>Test again</button>
        {found.ok && <a class="button" href={href(serverPath(row.name), {}, [])}>Look at it</a>}
      </p>
    </section>
  );
}

/** A host's key is confirmed by who has compared it on the host. */
function Pin({ row, shown, done }: { row: ServerRow; shown: NonNullable<TestBody["host_key"]>; done: () => void }) {
  const [pasted, setPasted] = useState("");
  const { busy, faults, run } = useSending([]);
  const file = shown.type.replace(/^ssh-|-sha2-.*$/g, "");
  const same = pasted.trim() === "" ? null : pasted.includes(shown.fingerprint);
  const confirm = () =>
    void run(async () => {
      await send("PATCH", addressOf(one, { name: row.name }), { ssh: { host_key: shown.line } });
      tell("The host key is confirmed");
      done();
    });
  return (
    <div>
      <p>{row.ssh.host_key ? "The host shows another key than the one that was confirmed. Unless you know why, somebody may stand in for it." : "Nobody has confirmed this host's key yet."} It shows:</p>
      <p><code>{shown.type} {shown.fingerprint}</code></p>
      <p>Compare it with what the host itself says:</p>
      <Paste text={`ssh-keygen -lf /etc/ssh/ssh_host_${file}_key.pub`} what="the command" />
      <Text label="What the host says (to compare it here)" name="fingerprint" value={pasted} set={setPasted}
        fault={same === false ? "This is another key: do not confirm it before you know why." : undefined}
        hint={same ? <span class="good">It is the same.</span> : undefined} />
      <Refused faults={faults} />
      <button class="primary" disabled={busy || same === false} onClick={confirm}>It is the same: confirm it</button>
    </div>
  );
}

function Delete({ row }: { row: ServerRow }) {
  const [purge, setPurge] = useState(false);
  const { busy, faults, run } = useSending([]);
  return (
    <Doom
      title="Remove this server" name={row.name} does={purge ? "Remove it and its history" : "Remove it"} busy={busy}
      run={() => void run(async () => {
        await send("DELETE", addressOf(one, { name: row.name }, purge ? { purge } : {}));
        tell(`Removed ${row.name}`);
        go(root + "servers");
      })}
    >
      <p>It is not asked anything any more. {purge ? "What was seen of it is removed too, and cannot be had again." : "What was seen of it stays until its time is over."}</p>
      {allows("admin") && <Tick label="Remove its history too" name="purge" value={purge} set={setPurge} />}
      <Refused faults={faults} />
    </Doom>
  );
}

export const serverNew: Page = { path: "servers/new", title: () => "Add a server", view: New };
export const serverEdit: Page = { path: "s/{name}/edit", title: (p) => `Edit ${p.name}`, tab: "Edit", view: Edit };
