// The last minutes of a stream, in bounded memory.
import type { ActivitySeries, SessionNow, SessionThen, StreamTick } from "../schema";
import { classColour, classNames, waitClasses } from "./palette";
import type { Drawing } from "./activity";

type Counts = StreamTick["sessions"];

/** Sessions by wait class in slots of seconds; what is older than its length is forgotten. */
export class Tail {
  private slots = new Map<number, Counts | null>();

  /** length and step in milliseconds. */
  constructor(
    readonly length: number,
    readonly step: number,
  ) {}

  private slot = (at: number) => Math.floor(at / this.step) * this.step;

  /** Notes a look; null: the server was not seen. */
  add(at: number, counts: Counts | null): void {
    this.slots.set(this.slot(at), counts);
    const oldest = this.slot(at) - this.length;
    for (const slot of this.slots.keys()) if (slot < oldest) this.slots.delete(slot);
  }

  /** Fills in what was not heard, from the history. */
  fill(answer: ActivitySeries): void {
    const classes = answer.average_active_sessions;
    if (!classes) return;
    answer.times.forEach((t, i) => {
      const slot = this.slot(Date.parse(t));
      if (classes.cpu[i] === null || this.slots.has(slot)) return;
      this.slots.set(slot, Object.fromEntries(waitClasses.map((c) => [c, classes[c][i] ?? 0])) as unknown as Counts);
    });
  }

  get size(): number {
    return this.slots.size;
  }

  /** What charts draw, until an instant. */
  drawing(until: number): Drawing & { from: number; to: number } {
    const last = this.slot(until), times: number[] = [];
    for (let t = last - this.length; t <= last; t += this.step) times.push(t);
    const series = waitClasses
      .map((c) => ({ key: c, label: classNames[c], colour: classColour(c), values: times.map((t) => this.slots.get(t)?.[c] ?? null) }))
      .filter((s, n) => n === 0 || s.values.some((v) => v !== null && v > 0));
    return { times, step: this.step, series, peak: { key: "peak", label: "peak", colour: "--text", values: [] }, note: "", from: times[0]!, to: last + this.step };
  }
}

/** A session of now in the form of one of the past. */
export function thenOf(s: SessionNow): SessionThen {
  return {
    ...s, blocked: s.blocked_by.length > 0, blocked_by_pid: s.blocked_by.find((pid) => pid > 0) ?? null, query_id_is_own: false, query_start: null,
    state: s.state ?? "", state_change: null, wait_event: s.wait_event ?? "", wait_event_type: s.wait_event_type ?? "", xact_start: null, xmin_age: null,
  };
}

/** Names a session, for good: pids are used again. */
export const sessionKey = (s: SessionNow) => `${s.pid} ${s.backend_start ?? ""}`;

/** What is new of a session since the tick before: all of it, what it waits for, or its statement. */
export type Change = "new" | "wait" | "query" | null;

/** What changed between two ticks, by the key of the session. */
export function changesOf(before: ReadonlyMap<string, SessionNow>, now: SessionNow[]): Map<string, Change> {
  const changes = new Map<string, Change>();
  if (before.size === 0) return changes;
  for (const s of now) {
    const had = before.get(sessionKey(s));
    if (!had) changes.set(sessionKey(s), "new");
    else if (had.query !== s.query) changes.set(sessionKey(s), "query");
    else if (had.wait_event !== s.wait_event || had.state !== s.state) changes.set(sessionKey(s), "wait");
  }
  return changes;
}
