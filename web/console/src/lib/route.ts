// The state of the page is its address: path, range, filter, cursor. Whoever has
// the link sees the same.
import { batch, computed, signal } from "@preact/signals";
import { parseSpan } from "./time";

export const root = "/ui/";

/** The address as it is. */
export const address = signal(new URL(location.href));

addEventListener("popstate", () => (address.value = new URL(location.href)));

/** The query of the address; read it inside components, which then follow it. */
export const query = computed(() => address.value.searchParams);

export type Changes = Record<string, string | string[] | null | undefined>;

/** State that goes along from page to page of a server. */
const kept = ["last", "from", "to", "f"];

/** Gives the address of a path, with the kept state and these changes of it; null takes a parameter out. */
export function href(path: string, changes: Changes = {}, keep: string[] = kept): string {
  const params = new URLSearchParams();
  for (const name of keep) for (const value of query.value.getAll(name)) params.append(name, value);
  return path + apply(params, changes);
}

/** Gives the address of this page with changes of its state. */
export function here(changes: Changes): string {
  return address.value.pathname + apply(new URLSearchParams(query.value), changes);
}

function apply(params: URLSearchParams, changes: Changes): string {
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) continue;
    params.delete(name);
    for (const one of value === null ? [] : [value].flat()) params.append(name, one);
  }
  const text = params.toString().replaceAll("%3A", ":");
  return text ? "?" + text : "";
}

/** Goes to an address of ours; replace: without a step back. */
export function go(to: string, replace = false): void {
  const next = new URL(to, location.href);
  if (next.href === address.value.href) return;
  const samePage = next.pathname === address.value.pathname;
  history[replace ? "replaceState" : "pushState"](null, "", next);
  batch(() => (address.value = next));
  if (!samePage) scrollTo(0, 0);
}

/** Follows links within the console without loading the page anew. */
export function followLinks(): void {
  addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download")) return;
    const to = new URL(link.href);
    if (to.origin !== location.origin || !to.pathname.startsWith(root) || to.pathname === root + "licences.txt") return;
    event.preventDefault();
    go(to.href);
  });
}

/** The path of a server's page. */
export function serverPath(name: string, page = ""): string {
  return root + "s/" + encodeURIComponent(name) + (page ? "/" + page : "");
}

// ---------------------------------------------------------------- the range

/** Until when relative ranges reach; moves on while the page is live. */
export const now = signal(Date.now());

/** Relative ranges stand still. */
export const paused = signal(false);

export interface Span {
  from: number; // milliseconds
  to: number;
  last: string | null; // such as 1h; null: absolute
}

export const defaultLast = "1h";

/** How often what is relative moves on, in milliseconds: data come in slots of seconds. */
export function cadence(last: string | null): number {
  const length = parseSpan(last ?? "") ?? 3600e3;
  return length <= 15 * 60e3 ? 5e3 : length <= 2 * 3600e3 ? 10e3 : length <= 12 * 3600e3 ? 30e3 : 60e3;
}

/** The range that all of the page is about. */
export const range = computed<Span>(() => {
  const from = Date.parse(query.value.get("from") ?? ""), to = Date.parse(query.value.get("to") ?? "");
  if (from < to) return { from, to, last: null };
  let last = query.value.get("last") ?? defaultLast;
  let length = parseSpan(last);
  if (!length) [last, length] = [defaultLast, 3600e3];
  const every = cadence(last), end = Math.floor(now.value / every) * every;
  return { from: end - length, to: end, last };
});

/** What makes a range that of the address. */
export function spanOf(from: number, to: number): Changes {
  return { from: iso(from), to: iso(to), last: null };
}

/** An instant as the API and links have it. */
export function iso(at: number): string {
  return new Date(at).toISOString().replace(/\.000Z$/, "Z");
}

/** The link of this page as it is now, for others: what is relative is made absolute. */
export function frozen(): string {
  return new URL(here(spanOf(range.value.from, range.value.to)), location.href).href;
}

function tick(): void {
  if (!paused.value && !document.hidden) now.value = Date.now();
}
setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);

// ---------------------------------------------------------------- the cursor

/** The instant that is pointed at, in milliseconds, in all charts at once; null: none. */
export const cursor = signal<number | null>(null);

/** A part of the range that is marked, to do something with; null: none. */
export const brush = signal<{ from: number; to: number } | null>(null);

// ---------------------------------------------------------------- the filter

export const dimensions = ["wait_class", "wait_event", "query", "database", "user", "application", "client", "state", "backend_type"] as const;
export type Dimension = (typeof dimensions)[number];

export const dimensionNames: Record<Dimension, string> = {
  wait_class: "wait class", wait_event: "wait event", query: "query", database: "database", user: "user",
  application: "application", client: "client", state: "state", backend_type: "backend type",
};

/** The dimension of a parameter of the address. */
export function dimensionOf(name: string, fallback: Dimension): Dimension {
  const asked = query.value.get(name);
  return (dimensions as readonly string[]).includes(asked ?? "") ? (asked as Dimension) : fallback;
}

export interface Filter {
  dimension: Dimension;
  value: string; // empty: what has none
  not: boolean; // what has it is left out
}

/** The filter of the address: f=user:app, f=!client:10.0.0.7. */
export const filters = computed<Filter[]>(() =>
  query.value.getAll("f").flatMap((text) => {
    const match = /^(!?)([a-z_]+):(.*)$/s.exec(text);
    return match && (dimensions as readonly string[]).includes(match[2]!)
      ? [{ dimension: match[2] as Dimension, value: match[3]!, not: match[1] === "!" }]
      : [];
  }),
);

/** The filter as the API takes it. */
export function filterQuery(): Record<string, string[]> {
  const asked: Record<string, string[]> = {};
  for (const f of filters.value) {
    (asked[(f.dimension === "query" ? "query_id" : f.dimension) + (f.not ? "!" : "")] ??= []).push(f.value || "(none)");
  }
  return asked;
}

/** Adds a filter in place of its opposite, or takes it out if it is there. */
export function toggleFilter(f: Filter): void {
  const text = `${f.dimension}:${f.value}`, not = "!" + text, wanted = f.not ? not : text, all = query.value.getAll("f");
  const rest = all.filter((one) => one !== text && one !== not);
  go(here({ f: all.includes(wanted) ? rest : [...rest, wanted] }));
}
