// An incident as a text to be pasted into a ticket or a chat.
import type { IncidentBody } from "../schema";
import { labelOf } from "./activity";
import { kindText, lockText } from "./blocking";
import { escaped } from "./copy";
import { eventText } from "../ui/lanes";
import { bytes, num, percent, words } from "./format";
import { age } from "./time";

function table(head: string[], rows: (string | number)[][]): string {
  const line = (cells: (string | number)[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** What a root of blocking is called. */
export function rootName(root: IncidentBody["blockers"][number]["root"]): string {
  if (root.ring.length > 0) return `deadlock of ${root.ring.map((p) => p.pid || p.prepared_transaction).join(", ")}`;
  if (root.prepared_transaction !== null) return `prepared transaction ${root.prepared_transaction}`;
  return root.pid === null ? "not seen" : [`pid ${root.pid}`, root.user, root.application].filter(Boolean).join(" · ");
}

/** By how much something grew. */
export const changeText = (by: number) => (Math.abs(by) < 0.005 ? "0" : (by > 0 ? "+" : "−") + num(Math.abs(by)));

/** The incident as Markdown; link: where it is shown. All instants are UTC. */
export function markdownOf(i: IncidentBody, link: string): string {
  const part: string[] = [];
  const say = (title: string, ...text: string[]) => part.push(`## ${title}`, ...text);
  part.push(`# ${escaped(i.server)} at ${i.at}`, `From ${i.from} to ${i.to}, compared with the hour before. ${link}`);
  say("Findings", i.findings.length === 0 ? "Nothing stands out." : i.findings.map((f) => `- **${f.severity}** ${f.at ? f.at + " " : ""}${escaped(f.text)}`).join("\n"));
  if (i.missing.length > 0) say("Not known", i.missing.map((m) => `- ${escaped(m)}`).join("\n"));
  if (i.blockers.length > 0) {
    say("What held others up", table(
      ["blocker", "it was", "sessions behind", "for", "from", "lock", "statement"],
      i.blockers.map((b) => [
        escaped(rootName(b.root)), kindText(b.root.kind), b.root.sessions_behind, age(b.blocked_seconds), b.first_at, escaped(lockText(b.root.lock)), escaped(b.root.query ?? "–"),
      ]),
    ));
  }
  for (const top of i.tops) {
    if (top.rows.length === 0) continue;
    say(`Top by ${words(top.by)}`, table(
      [words(top.by), "sessions", "the hour before", "change"],
      top.rows.slice(0, 5).map((r) => [escaped(labelOf(top.by, r)), num(r.range?.average_active_sessions), num(r.other_range?.average_active_sessions), r.change === null ? "–" : changeText(r.change)]),
    ));
  }
  if (i.databases.length > 0) {
    say("Databases", table(
      ["database", "commits/s", "the hour before", "rollbacks/s", "blocks read/s", "the hour before", "deadlocks", "connections"],
      i.databases.map((d) => [
        escaped(d.database), num(d.commits_per_second), num(d.baseline_commits_per_second), num(d.rollbacks_per_second),
        num(d.blocks_read_per_second), num(d.baseline_blocks_read_per_second), d.deadlocks, d.max_connections,
      ]),
    ));
  }
  if (i.events.length > 0) say("Events", i.events.map((e) => `- ${e.at} ${escaped(eventText(e))}${e.detail ? `: ${escaped(e.detail)}` : ""}`).join("\n"));
  if (i.disks.length > 0) {
    say("Disks", table(["mount point", "free", "of"], i.disks.map((d) => [escaped(d.mount_point), bytes(d.free_bytes.at(-1)), bytes(d.total_bytes.at(-1))])));
  }
  const c = i.coverage;
  say("Seen", `${c.ok + c.degraded} of ${c.planned} ticks were answered (${percent(c.planned ? (c.ok + c.degraded) / c.planned : null)}); the longest time without one: ${age(c.longest_gap_seconds)}.`);
  return part.join("\n\n") + "\n";
}
