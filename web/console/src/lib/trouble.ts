// What is wrong with a server, and how much: the order of the fleet.
import type { FleetRow } from "../schema";
import { percent, plural, words } from "./format";
import { age } from "./time";

export interface Reason {
  /** 100: nothing is known; 60: somebody waits; 20: worth a look. */
  weight: number;
  text: string;
  /** The page that shows it. */
  page: string;
}

/** Reasons to look at a server, the worst first; none: it is well. */
export function troubles(row: FleetRow): Reason[] {
  const list: Reason[] = [];
  const add = (weight: number, text: string, page = "") => list.push({ weight, text, page });
  if (!row.enabled) return list;
  if (row.last_tick_at === null) add(90, "never looked at");
  else if (row.last_tick_outcome === "failed") add(100, `does not answer: ${words(row.last_tick_reason ?? "unknown reason")}`);
  else if ((row.last_tick_age_seconds ?? 0) > 90) add(95, `not looked at for ${age(row.last_tick_age_seconds)}`);
  const blocked = row.blocked_sessions ?? 0;
  if (blocked > 0) add(60 + Math.min(20, blocked), `${plural(blocked, "session waits", "sessions wait")} for another`, "at");
  const full = row.disk_full_in_hours;
  if (full !== null && full < 72) add(full < 24 ? 85 : 40, `disk full in ${age(full * 3600)}`);
  if (row.disk && row.disk.free_percent < 5) add(82, `${percent(row.disk.free_percent / 100)} of the disk left`);
  const used = row.connections !== null && row.max_connections ? row.connections / row.max_connections : 0;
  if (used >= 0.8) add(used >= 0.95 ? 84 : 30, `${percent(used)} of the connections used`);
  const oldest = row.oldest_transaction_seconds ?? 0;
  if (oldest >= 600) add(oldest >= 3600 ? 35 : 15, `a transaction is open for ${age(oldest)}`, "at");
  const { planned, ok, degraded } = row.coverage;
  if (planned > 0 && ok + degraded < 0.9 * planned) add(25, `${percent((ok + degraded) / planned)} of the last ten minutes seen`);
  const load = row.average_active_sessions ?? 0, before = row.average_active_sessions_yesterday;
  if (before !== null && load >= 4 && load >= 3 * Math.max(before, 1)) add(20, `${Math.round(load / Math.max(before, 0.1))} times yesterday's load`);
  return list.sort((a, b) => b.weight - a.weight);
}

/** The higher, the worse; what is paused comes last. */
export function badness(row: FleetRow, reasons: Reason[]): number {
  if (!row.enabled) return -1;
  return reasons.reduce((sum, r, i) => sum + r.weight / (i + 1) ** 2, 0) + Math.min(1, (row.average_active_sessions ?? 0) / 1000);
}
