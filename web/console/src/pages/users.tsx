import { useState } from "preact/hooks";
import type { UserRow } from "../schema";
import { addressOf, logIn, send, session, useAnswer } from "../lib/api";
import { tell } from "../lib/copy";
import { near } from "../lib/time";
import { Asked } from "../ui/empty";
import { Choice, Doom, Refused, Secret, Text, Tick, useSending } from "../ui/form";
import type { Page } from "./page";

const all = "/api/v1/users";
const roles: [string, string][] = [["viewer", "viewer: looks"], ["operator", "operator: also manages servers"], ["admin", "admin: also users and settings"]];
const begins: [RegExp, string][] = [[/^(?:the login|A user with this name)/, "username"], [/^The password/, "password"]];

function Users() {
  const answer = useAnswer("/api/v1/users", {}, { limit: 1000 });
  return (
    <>
      <h1>Users</h1>
      <NewUser made={answer.again} />
      <Asked answer={answer}>{(data) => <div class="cards">{data.items.map((u) => <User key={u.username + u.role + u.active} row={u} changed={answer.again} />)}</div>}</Asked>
    </>
  );
}

function NewUser({ made }: { made: () => void }) {
  const [username, setUsername] = useState(""), [role, setRole] = useState("viewer"), [password, setPassword] = useState<string | null>("");
  const { busy, faults, run } = useSending(["username", "role", "password"], begins);
  return (
    <details class="part">
      <summary><h2>Add a user</h2></summary>
      <form class="form" onSubmit={(e) => {
        e.preventDefault();
        void run(async () => {
          await send("POST", all, { username, role, password: password ?? "" });
          tell(`Added ${username}`);
          setUsername("");
          setPassword("");
          made();
        });
      }}>
        <div class="fields">
          <Text label="Name" name="username" value={username} set={setUsername} required fault={faults.at.username} />
          <Choice label="Role" name="role" value={role} set={setRole} of={roles} fault={faults.at.role} />
          <Secret label="Password" name="password" has={false} value={password} set={setPassword} hint="8 to 72 bytes. Who it is for can change it." fault={faults.at.password} />
        </div>
        <Refused faults={faults} />
        <p class="buttons"><button class="primary" disabled={busy}>Add</button></p>
      </form>
    </details>
  );
}

function User({ row, changed }: { row: UserRow; changed: () => void }) {
  const [role, setRole] = useState<string>(row.role), [active, setActive] = useState(row.active), [password, setPassword] = useState<string | null>(null);
  const { busy, faults, run } = useSending(["role", "active", "password"], begins);
  const path = addressOf(all + "/{username}", { username: row.username });
  const body = { role: role === row.role ? undefined : role, active: active === row.active ? undefined : active, password: password || undefined };
  const mine = row.username === session.value?.username;
  return (
    <section class="panel">
      <h2>{row.username}{mine && <span class="muted"> (you)</span>}</h2>
      <p class="says">Made {row.created_at.slice(0, 10)}, {row.last_login_at ? `logged in last ${near(Date.parse(row.last_login_at))}` : "never logged in"}.</p>
      <form class="form" onSubmit={(e) => {
        e.preventDefault();
        void run(async () => {
          await send("PATCH", path, body);
          tell(`Saved ${row.username}`);
          setPassword(null);
          changed();
        });
      }}>
        <div class="fields">
          <Choice label="Role" name="role" value={role} set={setRole} of={roles} fault={faults.at.role} />
          <Secret label="Password" name="password" has value={password} set={setPassword} fault={faults.at.password} />
        </div>
        <Tick label="May log in" name="active" value={active} set={setActive} fault={faults.at.active} />
        <Refused faults={faults} />
        <p class="says">Any change logs {mine ? "you" : row.username} out everywhere.</p>
        <p class="buttons"><button disabled={busy || !(body.role || body.password || body.active !== undefined)}>Save</button></p>
      </form>
      <Doom title="Remove this user" name={row.username} does="Remove" busy={busy} run={() => void run(async () => {
        await send("DELETE", path);
        tell(`Removed ${row.username}`);
        changed();
      })}>
        <p>Who is logged in as {row.username} is logged out, and scripts with this name stop working.</p>
      </Doom>
    </section>
  );
}

function Password() {
  const [old, setOld] = useState(""), [next, setNext] = useState(""), [again, setAgain] = useState("");
  const { busy, faults, run } = useSending(["password", "new_password"], [[/^The present password/, "password"], [/^The password/, "new_password"]]);
  const differs = again !== "" && again !== next;
  return (
    <>
      <h1>Your password</h1>
      <p>Another password logs {session.value?.username} out everywhere else, and ends the tokens of scripts that use this name.</p>
      <form class="form narrow" onSubmit={(e) => {
        e.preventDefault();
        const who = session.value?.username;
        if (differs || !who) return;
        void run(async () => {
          await send("PUT", "/api/v1/me/password", { password: old, new_password: next });
          await logIn(who, next); // the session ended with the old password
          tell("Your password is changed");
          setOld("");
          setNext("");
          setAgain("");
        });
      }}>
        <Text label="Present password" name="password" type="password" autocomplete="current-password" value={old} set={setOld} required fault={faults.at.password} />
        <Text label="New password" name="new_password" type="password" autocomplete="new-password" value={next} set={setNext} required fault={faults.at.new_password} hint="8 to 72 bytes, such as a few words." />
        <Text label="New password again" name="again" type="password" autocomplete="new-password" value={again} set={setAgain} required fault={differs ? "It is not the same." : undefined} />
        <Refused faults={faults} />
        <p class="buttons"><button class="primary" disabled={busy || differs}>Change it</button></p>
      </form>
    </>
  );
}

export const users: Page = { path: "users", title: () => "Users", manage: "admin", view: Users };
export const password: Page = { path: "password", title: () => "Your password", manage: "viewer", view: Password };
