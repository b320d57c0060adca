// Instants and lengths of time, as people read them.
import { signal } from "@preact/signals";

const zoneKey = "pgam-zone";

function stored(): string | null {
  try {
    return localStorage.getItem(zoneKey);
  } catch {
    return null; // storage is switched off
  }
}

/** In which zone instants are shown: UTC, or the browser's. */
export const zone = signal<"utc" | "local">(stored() === "local" ? "local" : "utc");

export function switchZone(): void {
  zone.value = zone.value === "utc" ? "local" : "utc";
  try {
    localStorage.setItem(zoneKey, zone.value);
  } catch {
    // it stays for this page
  }
}

/** The zone's name. */
export function zoneName(): string {
  return zone.value === "utc" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(at: number, options: Intl.DateTimeFormatOptions): string {
  const timeZone = zone.value === "utc" ? "UTC" : undefined;
  const key = JSON.stringify([options, timeZone]);
  let f = formats.get(key);
  if (!f) formats.set(key, (f = new Intl.DateTimeFormat("sv-SE", { ...options, timeZone, hour12: false })));
  return f.format(at);
}

const day: Intl.DateTimeFormatOptions = { year: "numeric", month: "2-digit", day: "2-digit" };
const minutes: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit" };
const seconds: Intl.DateTimeFormatOptions = { ...minutes, second: "2-digit" };

/** 03:12:07 */
export const clock = (at: number) => format(at, seconds);
/** 03:12 */
export const hourMinute = (at: number) => format(at, minutes);
/** 2026-11-22 */
export const date = (at: number) => format(at, day);
/** 2026-11-22 03:12:07 */
export const instant = (at: number) => format(at, { ...day, ...seconds });

/** An instant, without its date if that is today's. */
export function near(at: number): string {
  return date(at) === date(Date.now()) ? clock(at) : instant(at);
}

/** 2026-11-22 03:00 – 04:00 */
export function spanText(from: number, to: number): string {
  const exact = to - from < 10 * 60e3 || from % 60e3 !== 0 || to % 60e3 !== 0;
  const time = exact ? clock : hourMinute;
  return `${date(from)} ${time(from)} – ${date(from) === date(to) ? "" : date(to) + " "}${time(to)}`;
}

const units: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3, w: 7 * 86400e3 };

/** Milliseconds of 15m, 1h, 7d; null: it is none. */
export function parseSpan(text: string): number | null {
  const match = /^(\d{1,5})([smhdw])$/.exec(text);
  const length = match ? Number(match[1]) * units[match[2]!]! : 0;
  return length > 0 && length <= 3660 * 86400e3 ? length : null;
}

/** 44 s, 3 m 12 s, 2 h 5 m, 3 d 4 h. */
export function age(s: number | null | undefined): string {
  if (s === null || s === undefined) return "–";
  if (s < 0.9995) return s < 0.0005 ? "0 s" : `${Math.round(s * 1000)} ms`;
  if (s < 9.95 && Math.round(s * 10) % 10 !== 0) return `${s.toFixed(1)} s`;
  const whole = Math.round(s);
  const parts: [number, string][] = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const first = parts.findIndex(([size]) => whole >= size);
  return parts
    .slice(first, first + 2)
    .map(([size, unit], i) => [Math.floor((i === 0 ? whole : whole % parts[first]![0]) / size), unit] as const)
    .filter(([n], i) => i === 0 || n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(" ");
}

/** The same as age, in one unit: 44 s, 3 m, 2 h, 3 d. */
export const shortAge = (s: number | null | undefined) => age(s).split(" ").slice(0, 2).join(" ");
