// Tests of what needs no browser: bundled by unit_test.go, run by node --test.
import { csv, escaped } from "./lib/copy";
import { bytes, num, percent, short } from "./lib/format";
import { treesOf } from "./lib/blocking";
import { changesOf, Tail } from "./lib/livetail";
import { bucketAt, gaps, shifted, stack, zoomed } from "./lib/stack";
import { splitter } from "./lib/stream";
import { age, parseSpan, spanText } from "./lib/time";
import { badness, troubles } from "./lib/trouble";
import type { ActivitySeries, BlockingRow, FleetRow, RootRow, SessionNow, StreamTick } from "./schema";

declare function test(name: string, run: () => void): void; // node's, by unit_test.go
declare const variables: { light: Record<string, string>; dark: Record<string, string> };
declare const classes: string[];

function same(got: unknown, want: unknown): void {
  const a = JSON.stringify(got), b = JSON.stringify(want);
  if (a !== b) throw new Error(`got ${a}, want ${b}`);
}

function holds(what: boolean, text: string): void {
  if (!what) throw new Error(text);
}

test("sums from the bottom leave what was not seen unknown", () => {
  same(stack([[1, null, 0], [2, null, 3]]), [[1, null, 0], [3, null, 3]]);
  same(stack([[1, null], [null, 2]]), [[1, null], [1, 2]]);
  same(stack([]), []);
  same(gaps([[1, null, null, 0, null]], 5), [[1, 3], [4, 5]]);
  same(gaps([], 2), [[0, 2]]);
  same([0, 9, 10, 25, 99].map((t) => bucketAt([10, 20, 30], t)), [-1, -1, 0, 1, 2]);
});

test("ranges move and zoom, and never end after now", () => {
  same(zoomed({ from: 0, to: 100e3 }, 0.5, 1e9), { from: 25e3, to: 75e3 });
  same(zoomed({ from: 0, to: 100e3 }, 2, 100e3), { from: -100e3, to: 100e3 });
  same(shifted({ from: 0, to: 100e3 }, -0.5, 1e9), { from: -50e3, to: 50e3 });
  same(shifted({ from: 0, to: 100e3 }, 0.5, 120e3), { from: 20e3, to: 120e3 });
});

test("numbers are short, and unknown is a dash", () => {
  same([0, 0.001, 0.034, 1, 1.25, 12.4, 1234567, null].map(num), ["0", "<0.01", "0.03", "1", "1.3", "12", "1\u202f234\u202f567", "–"]);
  same([9999, 12345, 3.4e6].map(short), ["9\u202f999", "12 k", "3.4 M"]);
  same([0, 512, 1536, 12884901888, null].map(bytes), ["0 B", "512 B", "1.5 kB", "12 GB", "–"]);
  same([0, 0.001, 0.5, 0.999, 1, null].map(percent), ["0 %", "<1 %", "50 %", ">99 %", "100 %", "–"]);
});

test("ages and spans", () => {
  same([0, 0.0123, 4.04, 5, 44.4, 60, 192, 7500, 273600, null].map(age), ["0 s", "12 ms", "4 s", "5 s", "44 s", "1 m", "3 m 12 s", "2 h 5 m", "3 d 4 h", "–"]);
  same(["15m", "1h", "7d", "2w", "", "h", "0m", "-1h", "99999w"].map(parseSpan), [900e3, 3600e3, 604800e3, 1209600e3, null, null, null, null, null]);
  same(spanText(Date.parse("2026-11-22T03:00:00Z"), Date.parse("2026-11-22T04:00:00Z")), "2026-11-22 03:00 – 04:00");
  same(spanText(Date.parse("2026-11-22T23:59:30Z"), Date.parse("2026-11-23T00:01:00Z")), "2026-11-22 23:59:30 – 2026-11-23 00:01:00");
});

test("a CSV holds any text, and no formula", () => {
  same(csv([["a", 'b "c", d', null, 1.5], ["=1+1", "-x", "two\nlines", -2]]), 'a,"b ""c"", d",,1.5\r\n\'=1+1,\'-x,"two\nlines",-2\r\n');
});

test("trees of who waits for whom end, also in a ring", () => {
  const root = (pid: number, ring: number[], behind: number) => ({ pid, prepared_transaction: null, ring: ring.map((p) => ({ pid: p, prepared_transaction: null })), sessions_behind: behind, lock: null, kind: "active" }) as unknown as RootRow;
  const edge = (blocked: number, blocker: number | null) => ({ blocked: { pid: blocked, prepared_transaction: null }, blocker: blocker === null ? null : { pid: blocker, prepared_transaction: null }, lock: null, depth: 1 });
  const shape = (nodes: ReturnType<typeof treesOf>): unknown[] => nodes.map((n) => (n.children.length ? [n.data.pid, shape(n.children)] : n.data.pid));
  same(shape(treesOf({ waiting: 3, roots: [root(1, [], 3)], edges: [edge(2, 1), edge(3, 2), edge(4, 1)] } as BlockingRow, [])), [[1, [[2, [3]], 4]]]);
  same(shape(treesOf({ waiting: 2, roots: [root(1, [1, 2], 2)], edges: [edge(2, 1), edge(1, 2), edge(3, 2)] } as BlockingRow, [])), [[1, [[2, [3]]]]]);
});

test("the worst server comes first", () => {
  const nothing: Partial<FleetRow> = { disk_full_in_hours: null, disk: null, connections: null, max_connections: null, average_active_sessions_yesterday: null };
  const row = (of: Partial<FleetRow>) =>
    ({ ...nothing, enabled: true, last_tick_at: "x", last_tick_outcome: "ok", last_tick_age_seconds: 1, blocked_sessions: 0, coverage: { planned: 600, ok: 600, degraded: 0 }, ...of }) as FleetRow;
  const order = [
    row({ last_tick_outcome: "failed", last_tick_reason: "connection_refused" }), row({ disk_full_in_hours: 3 }), row({ blocked_sessions: 12 }), row({ blocked_sessions: 2 }),
    row({ oldest_transaction_seconds: 7200 }), row({ average_active_sessions: 3 }), row({}), row({ enabled: false, blocked_sessions: 40 }),
  ].map((r) => badness(r, troubles(r)));
  same(order, order.toSorted((a, b) => b - a));
  same(troubles(row({ last_tick_at: null })).map((r) => r.text), ["never looked at"]);
});

// What the two frequent kinds of colour blindness see (Machado and others, 2009, of
// full severity), as lightness and colour of CIELAB.
const sights: Record<string, number[][]> = {
  all: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
};

test("a stream is split into its events, whatever its pieces", () => {
  const text = ': pgam\n\nevent: tick\ndata: {"a":1}\n\n: still here\n\nevent: end\ndata: {"reason":\ndata: "x"}\n\nevent: tick\ndata: cut';
  for (const size of [1, 7, text.length]) {
    const heard: string[] = [], split = splitter((kind, data) => heard.push(kind, data));
    for (let i = 0; i < text.length; i += size) split(text.slice(i, i + size));
    same(heard, ["tick", '{"a":1}', "end", '{"reason":\n"x"}']);
  }
});

test("the tail of a stream forgets, and what was not seen is unknown", () => {
  const tail = new Tail(300e3, 1000), counts = (cpu: number) => ({ cpu, lock: 0 }) as StreamTick["sessions"];
  for (let s = 0; s < 3600; s++) if (s % 10 !== 9) tail.add(s * 1000 + 37, s % 10 === 8 ? null : counts(s));
  holds(tail.size <= 301, `an hour leaves ${tail.size} ticks`);
  const drawn = tail.drawing(3599.5e3), cpu = drawn.series[0]!.values;
  same([drawn.from, drawn.to, drawn.times.length], [3299e3, 3600e3, 301]);
  same(cpu.slice(-4), [3596, 3597, null, null]);
  const past = { cpu: [1, 2], io: [0, 0], buffer: [0, 0], lwlock: [0, 0], ipc: [0, 0], client: [0, 0], timeout: [0, 0], extension: [0, 0], other: [0, 0], idle_in_transaction: [0, 0], lock: [0, 0] };
  tail.fill({ times: ["1970-01-01T00:59:57Z", "1970-01-01T00:59:59Z"], average_active_sessions: past } as unknown as ActivitySeries);
  same(tail.drawing(3599.5e3).series[0]!.values.slice(-4), [3596, 3597, null, 2]);
});

test("what changed of a session is its statement, or what it waits for", () => {
  const one = (pid: number, query: string, wait_event: string | null, backend_start: string) => ({ pid, query, wait_event, state: "active", backend_start }) as unknown as SessionNow;
  const had = new Map([one(1, "a", null, "x"), one(2, "a", null, "x"), one(3, "a", null, "x"), one(4, "a", null, "x")].map((s) => [`${s.pid} x`, s]));
  const now = [one(1, "a", null, "x"), one(2, "b", null, "x"), one(3, "a", "relation", "x"), one(4, "a", null, "y")];
  same([...changesOf(had, now)], [["2 x", "query"], ["3 x", "wait"], ["4 y", "new"]]);
  same([...changesOf(new Map(), now)], []);
});

test("a text for Markdown is no markup, and one line", () => {
  same(escaped("a|b\n<img src=x> `c` [d](e) *f* &lt;"), "a\\|b &lt;img src=x\\> \\`c\\` \\[d\\](e) \\*f\\* &amp;lt;");
});

function linear(hex: string): number[] {
  const long = hex.length === 4 ? hex.slice(1).replace(/./g, "$&$&") : hex.slice(1);
  return [0, 2, 4].map((i) => parseInt(long.slice(i, i + 2), 16) / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
}

function lab(rgb: number[]): number[] {
  const mix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], white = [0.9505, 1, 1.089];
  const [x, y, z] = mix.map((m, i) => m.reduce((sum, v, k) => sum + v * Math.max(0, rgb[k]!), 0) / white[i]!).map((t) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116)) as [number, number, number];
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

function distance(a: string, b: string, sight: number[][]): number {
  const seen = (hex: string) => lab(sight.map((m) => m.reduce((sum, v, k) => sum + v * linear(hex)[k]!, 0)));
  const [p, q] = [seen(a), seen(b)];
  return Math.hypot(...p.map((v, i) => v - q[i]!));
}

test("neighbours in the stack are told apart by everybody", () => {
  for (const [theme, colours] of Object.entries(variables)) {
    for (const [sight, matrix] of Object.entries(sights)) {
      classes.slice(1).forEach((c, i) => {
        const d = distance(colours[`--c-${c}`]!, colours[`--c-${classes[i]}`]!, matrix);
        holds(d >= 15, `${theme}, ${sight}: ${classes[i]} and ${c} differ by ${d.toFixed(1)}, want 15`);
      });
    }
  }
});

test("text is read on what is behind it", () => {
  const luminance = (hex: string) => 0.2126 * linear(hex)[0]! + 0.7152 * linear(hex)[1]! + 0.0722 * linear(hex)[2]!;
  for (const [theme, colours] of Object.entries(variables)) {
    for (const text of ["--text", "--muted", "--link", "--bad", "--warn", "--good"]) {
      for (const back of ["--bg", "--raised", "--select"]) {
        const [light, dark] = [luminance(colours[text]!), luminance(colours[back]!)].sort((a, b) => b - a) as [number, number];
        const contrast = (light + 0.05) / (dark + 0.05);
        holds(contrast >= 4.5, `${theme}: ${text} on ${back} has a contrast of ${contrast.toFixed(2)}, want 4.5`);
      }
    }
  }
});
