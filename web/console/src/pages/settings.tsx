import { useState } from "preact/hooks";
import type { SettingList, SettingRow } from "../schema";
import { send, useAnswer } from "../lib/api";
import { tell } from "../lib/copy";
import { allows } from "../lib/role";
import { instant } from "../lib/time";
import { Asked } from "../ui/empty";
import { Choice, Refused, Text, useSending } from "../ui/form";
import type { Page } from "./page";

const parts: [RegExp, string][] = [[/^PGAM_RETENTION/, "How long history is kept"], [/^PGAM_BURST/, "When to look in full detail"], [/./, "Everything else"]];
const partOf = (name: string) => parts.find(([begin]) => begin.test(name))![1];

function Settings() {
  const answer = useAnswer("/api/v1/settings");
  return (
    <>
      <h1>Settings</h1>
      <p>They count at once, for all servers that have none of their own. {allows("admin") ? "What is kept for less time goes within the hour." : "Administrators change them."} How query texts are kept is set per server.</p>
      <Asked answer={answer}>{(data) => <Form key={data.items.map((s) => s.value + s.source).join()} items={data.items} saved={answer.again} />}</Asked>
    </>
  );
}

function Form({ items, saved }: { items: SettingRow[]; saved: () => void }) {
  const [typed, setTyped] = useState<Record<string, string>>({});
  const { busy, faults, run } = useSending(items.map((s) => s.name), items.map((s) => [new RegExp(`\\b${s.name}\\b`), s.name]));
  const changed = Object.fromEntries(Object.entries(typed).filter(([name, value]) => items.find((s) => s.name === name)?.value !== value.trim()).map(([n, v]) => [n, v.trim() || null]));
  const store = (body: Record<string, string | null>) =>
    void run(async () => {
      await send<SettingList>("PATCH", "/api/v1/settings", body);
      tell("Saved");
      saved();
    });
  const field = (s: SettingRow) => {
    const common = { label: s.description, name: s.name, value: typed[s.name] ?? s.value, fault: faults.at[s.name], set: (v: string) => setTyped((t) => ({ ...t, [s.name]: v })) };
    return s.value === "true" || s.value === "false" ? <Choice {...common} of={[["true", "yes"], ["false", "no"]]} /> : <Text {...common} placeholder={s.default} />;
  };
  return (
    <form class="form" onSubmit={(e) => { e.preventDefault(); store(changed); }}>
      <fieldset disabled={!allows("admin")}>
        {[...new Set(items.map((s) => partOf(s.name)))].map((part) => (
          <section key={part}>
            <h2>{part}</h2>
            <div class="settings">
              {items.filter((s) => partOf(s.name) === part).map((s) => (
                <div key={s.name}>
                  {field(s)}
                  <p class="says">
                    <code>{s.name}</code>{s.limits && `, ${s.limits}`}, else {s.default}.{" "}
                    {s.source === "environment" && "Set in the collector's environment. "}
                    {s.source === "changed" && <>Changed{s.updated_by && ` by ${s.updated_by}`}{s.updated_at && `, ${instant(Date.parse(s.updated_at))}`}. <button type="button" disabled={busy} onClick={() => store({ [s.name]: null })}>Take back</button></>}
                  </p>
                </div>
              ))}
            </div>
          </section>
        ))}
        <Refused faults={faults} />
        {allows("admin") && <p class="buttons"><button class="primary" disabled={busy || Object.keys(changed).length === 0}>Save</button></p>}
      </fieldset>
    </form>
  );
}

export const settings: Page = { path: "settings", title: () => "Settings", manage: "viewer", view: Settings };
