// Lanes that stand below a chart, on its axis of time.
import type { ComponentChildren } from "preact";
import type { CoverageBody, EventRow } from "../schema";
import { percent, words } from "../lib/format";
import { cursor } from "../lib/route";
import { near } from "../lib/time";
import { Strip, type Cell } from "./strip";

export function Lane({ title, children, note }: { title: string; children: ComponentChildren; note?: ComponentChildren }) {
  return (
    <div class="lane-row">
      <span class="lane-title">{title}</span>
      <div class="lane-body">{children}</div>
      {note && <span class="lane-note">{note}</span>}
    </div>
  );
}

/** Whether the server was looked at, and answered. */
export function CoverageLane({ body, from, to }: { body: CoverageBody; from: number; to: number }) {
  const s = body.series, c = body.coverage;
  if (!s) return null;
  const cells = s.times.map((_, i): Cell => {
    const planned = s.planned[i]!, seen = s.ok[i]! + s.degraded[i]!, failed = s.failed[i]!;
    if (planned === 0 || (seen === 0 && failed === 0)) return { level: null };
    return seen === planned ? { level: 0.5, tone: "ok" } : seen > 0 ? { level: 0.8, tone: "some" } : { level: 0.9, tone: "none" };
  });
  const width = s.step_seconds * 1000, first = s.times.length ? Date.parse(s.times[0]!) : from;
  const why = [...Object.entries(c.failed_by), ...Object.entries(c.skipped_by)].map(([reason, n]) => `${words(reason)} ${n}`).join(", ");
  const label = `${percent(c.planned ? (c.ok + c.degraded) / c.planned : null)} of ${c.planned} ticks answered${why ? `; ${why}` : ""}`;
  return (
    <Lane title="Seen" note={c.planned > 0 && c.ok + c.degraded < c.planned ? label : undefined}>
      <Strip cells={cells} label={label} class="thin" from={(from - first) / width} length={(to - from) / width} />
    </Lane>
  );
}

/** What explains a step in a chart, as flags. */
export function EventLane({ events, from, to, pick }: { events: EventRow[]; from: number; to: number; pick?: (at: number) => void }) {
  const shown = events.filter((e) => Date.parse(e.at) >= from && Date.parse(e.at) < to).toReversed();
  if (shown.length === 0) return null;
  let edge = -1;
  return (
    <Lane title="Events">
      <div class="flags">
        {shown.map((e, i) => {
          const at = Date.parse(e.at), x = ((at - from) / (to - from)) * 100;
          const roomy = x > edge; // else only the flag, or texts would cover each other
          if (roomy) edge = x + 14;
          const text = eventText(e);
          return (
            <button
              key={i} class={`flag${e.scope === "monitor" ? " monitor" : ""}${roomy ? "" : " bare"}${x > 80 ? " left" : ""}`} style={{ left: `${x}%` }}
              title={`${near(at)} ${text}${e.detail ? ": " + e.detail : ""}`} aria-label={`${near(at)} ${text}`}
              onMouseEnter={() => (cursor.value = at)} onFocus={() => (cursor.value = at)} onClick={() => pick?.(at)}
            >
              {roomy ? text : ""}
            </button>
          );
        })}
      </div>
    </Lane>
  );
}

/** An event in a few words. */
export function eventText(e: EventRow): string {
  const subject = e.subject ? " " + e.subject : "";
  if (e.kind === "setting") return `${e.subject} ${e.old ?? "–"} → ${e.new ?? "–"}`;
  const change = e.old && e.new && /^(version|database_renamed|server_changed)$/.test(e.kind);
  return words(e.kind) + subject + (change ? ` ${e.old} → ${e.new}` : "");
}
