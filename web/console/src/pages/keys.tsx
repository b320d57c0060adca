import { useState } from "preact/hooks";
import type { KeyRow } from "../schema";
import { addressOf, send, useAnswer } from "../lib/api";
import { copy, tell } from "../lib/copy";
import { href, serverPath } from "../lib/route";
import { Asked, Empty } from "../ui/empty";
import { Choice, Doom, Paste, Refused, Secret, Text, useSending } from "../ui/form";
import type { Page } from "./page";

const all = "/api/v1/ssh-keys";

function Keys() {
  const answer = useAnswer("/api/v1/ssh-keys", {}, { limit: 1000 });
  return (
    <>
      <h1>SSH keys</h1>
      <p>With a key pgam logs in to hosts to look at their disks, or reaches PostgreSQL through them. The private part stays here, sealed, and is never shown.</p>
      <NewKey made={answer.again} />
      <Asked answer={answer}>
        {(data) =>
          data.items.length === 0 ? <Empty title="There is no key yet">Make one above, then put its public part on the hosts.</Empty> : (
            <div class="cards">{data.items.map((k) => <Key key={k.name} row={k} changed={answer.again} />)}</div>
          )
        }
      </Asked>
    </>
  );
}

function Key({ row, changed }: { row: KeyRow; changed: () => void }) {
  const { busy, faults, run } = useSending([]);
  return (
    <section class="panel">
      <h2>{row.name}</h2>
      {row.description && <p>{row.description}</p>}
      <p class="says">{row.type}, {row.bits} bits, made {row.created_at.slice(0, 10)}{row.created_by ? ` by ${row.created_by}` : ""}. <code>{row.fingerprint}</code></p>
      <p class="says">Append to <code>~/.ssh/authorized_keys</code> of the SSH user on each host:</p>
      <Paste text={row.public_key} what="the public key" />
      {row.servers.length > 0 ? (
        <p>Used by {row.servers.map((s, i) => <>{i > 0 && ", "}<a href={href(serverPath(s, "edit"), {}, [])}>{s}</a></>)}. Who uses it has to log in otherwise before it can be removed.</p>
      ) : (
        <Doom title="Remove this key" name={row.name} does="Remove it" busy={busy} run={() => void run(async () => {
          await send("DELETE", addressOf(all + "/{key}", { key: row.name }));
          tell(`Removed ${row.name}`);
          changed();
        })}>
          <p>No server uses it. It cannot be had again.</p>
          <Refused faults={faults} />
        </Doom>
      )}
    </section>
  );
}

function NewKey({ made }: { made: () => void }) {
  const [name, setName] = useState(""), [description, setDescription] = useState(""), [kind, setKind] = useState("ed25519");
  const [key, setKey] = useState(""), [passphrase, setPassphrase] = useState<string | null>("");
  const { busy, faults, run } = useSending(["name", "description", "private_key", "passphrase"], [[/name/, "name"], [/passphrase/, "passphrase"], [/private key|this very key/, "private_key"]]);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void run(async () => {
      const body = kind === "import" ? { private_key: key, passphrase: passphrase || undefined } : { type: kind };
      const row = await send<KeyRow>("POST", all, { name: name.trim(), description: description.trim() || undefined, ...body });
      setName("");
      setDescription("");
      setKey("");
      setPassphrase("");
      made();
      await copy(row.public_key, `the public key of ${row.name}`);
    });
  };
  return (
    <details class="part">
      <summary><h2>Make or import a key</h2></summary>
      <form class="form" onSubmit={submit}>
        <div class="fields">
          <Text label="Name" name="name" value={name} set={setName} required fault={faults.at.name} />
          <Text label="What it is for" name="description" value={description} set={setDescription} fault={faults.at.description} />
          <Choice label="Kind" name="kind" value={kind} set={setKind} of={[["ed25519", "make one: ed25519"], ["rsa", "make one: rsa, for old hosts"], ["import", "import one"]]} />
        </div>
        {kind === "import" && (
          <>
            <Text label="Private key" name="private_key" lines={6} value={key} set={setKey} required fault={faults.at.private_key} placeholder="-----BEGIN OPENSSH PRIVATE KEY-----" />
            <Secret label="Passphrase" name="passphrase" has={false} value={passphrase} set={setPassphrase} fault={faults.at.passphrase} hint="Empty where it has none." />
          </>
        )}
        <Refused faults={faults} />
        <p class="buttons"><button class="primary" disabled={busy}>{kind === "import" ? "Import" : "Make"}</button></p>
      </form>
    </details>
  );
}

export const keys: Page = { path: "ssh-keys", title: () => "SSH keys", manage: "operator", view: Keys };
