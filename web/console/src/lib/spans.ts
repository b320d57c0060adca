// What one backend did, as bars on an axis of time.
import type { PairRow, SessionHistoryBody, SpanRow, WhoRow } from "../schema";
import type { Bar } from "../ui/gantt";
import { num, plural, words } from "./format";
import { classColour, classNames, type WaitClass } from "./palette";
import { href, iso, query, serverPath } from "./route";

/** Who somebody is, in a few words. */
export function whoText(who: WhoRow): string {
  if (who.prepared_transaction !== null || who.pid === 0) return `prepared ${who.prepared_transaction ?? "transaction"}`;
  return who.pid === null ? "not seen" : String(who.pid);
}

/** The page of a backend, over a range; null: it has none. */
export function sessionHref(server: string, who: Pick<WhoRow, "pid" | "backend_start">, span?: { from: number; to: number }): string | null {
  if (!who.pid) return null;
  const range = span ? { from: iso(span.from), to: iso(span.to), last: null } : {};
  return href(serverPath(server, "session"), { ...range, pid: String(who.pid), backend_start: who.backend_start });
}

/** The backend that the address is about. */
export const askedBackend = () => ({ pid: query.value.get("pid"), backend_start: query.value.get("backend_start") });

export function waitText(s: SpanRow): string {
  return s.wait_event ? `${s.wait_event_type}:${s.wait_event}` : (s.wait_event_type ?? "");
}

/** What a span is, in words. */
export function spanWords(s: SpanRow): string {
  if (s.kind === "not_seen") return "not looked at, or no answer";
  const blocks = s.blocks > 0 ? `${plural(s.blocks, "session")} waited for it` : "";
  if (s.kind === "not_active") return ["idle, or not there", blocks].filter(Boolean).join("; ");
  const by = s.blocked_by.length > 0 ? `blocked by ${s.blocked_by.map(whoText).join(", ")}` : "";
  return [s.state, s.wait_class === "idle_in_transaction" ? "" : waitText(s), by, blocks].filter(Boolean).join("; ");
}

export function barsOf(body: SessionHistoryBody): Bar[] {
  return body.spans.map((s) => ({
    from: Date.parse(s.from),
    to: Date.parse(s.to),
    kind: s.kind === "not_seen" ? "unseen" : s.kind === "not_active" ? "idle" : "did",
    colour: s.wait_class ? classColour(s.wait_class) : undefined,
    text: spanWords(s),
    query: s.query,
    mark: s.blocks > 0,
  }));
}

/** The wait classes of some bars, for their legend. */
export function classesOf(bodies: SessionHistoryBody[]): { colour: string; label: string }[] {
  const seen = new Set(bodies.flatMap((b) => b.spans.map((s) => s.wait_class)));
  return (Object.keys(classNames) as WaitClass[]).filter((c) => seen.has(c)).map((c) => ({ colour: classColour(c), label: classNames[c] }));
}

export interface Statement {
  query: string | null;
  id: string | null;
  seconds: number;
  waited: number; // for a lock
  spans: number;
}

/** How long a backend was at each statement, the longest first. */
export function statementsOf(spans: SpanRow[]): Statement[] {
  const list = new Map<string, Statement>();
  for (const s of spans) {
    if (s.kind !== "sampled") continue;
    const key = s.query_id ?? "";
    const one = list.get(key) ?? { query: s.query, id: s.query_id, seconds: 0, waited: 0, spans: 0 };
    const length = (Date.parse(s.to) - Date.parse(s.from)) / 1000;
    one.seconds += length;
    if (s.wait_class === "lock") one.waited += length;
    one.spans++;
    list.set(key, one);
  }
  return [...list.values()].sort((a, b) => b.seconds - a.seconds);
}

/** Whether somebody is this backend. */
export function same(a: WhoRow, b: WhoRow): boolean {
  return a.pid === b.pid && a.backend_start === b.backend_start;
}

/** Of the pairs of a backend, those in which it waited, and those in which another waited for it. */
export function sides(me: WhoRow, pairs: PairRow[]): { waited: PairRow[]; heldUp: PairRow[] } {
  return { waited: pairs.filter((p) => same(p.blocked, me)), heldUp: pairs.filter((p) => !same(p.blocked, me)) };
}

/** How much of a range was seen, in a sentence. */
export function seenText(c: { planned: number; ok: number; degraded: number; failed_by: Record<string, number>; skipped_by: Record<string, number> }): string {
  const seen = c.ok + c.degraded;
  if (c.planned === 0) return "Nobody looked at the server in this range.";
  if (seen === c.planned) return `All ${num(c.planned)} looks were answered.`;
  const why = [...Object.entries(c.failed_by), ...Object.entries(c.skipped_by)].map(([reason, n]) => `${words(reason)} ${num(n)}`).join(", ");
  return `${num(seen)} of ${num(c.planned)} looks were answered${why ? ` (${why})` : ""}: what happened in between is not known.`;
}
