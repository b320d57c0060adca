// Numbers, as people read them. A number that is not known is a dash.

/** 0, 0.03, 1.2, 12, 1 234. */
export function num(v: number | null | undefined): string {
  if (v === null || v === undefined || !Number.isFinite(v)) return "–";
  const size = Math.abs(v);
  if (size === 0) return "0";
  if (size < 0.005) return "<0.01";
  if (size < 1) return v.toFixed(2);
  if (size < 10) return Number.isInteger(v) ? String(v) : v.toFixed(1);
  return grouped(Math.round(v));
}

function grouped(v: number): string {
  return String(v).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** 12, 1.2 k, 3.4 M. */
export function short(v: number | null | undefined): string {
  if (v === null || v === undefined) return "–";
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]] as const) {
    if (Math.abs(v) >= size) return scaled(v / (unit === "k" ? 1e3 : size)) + " " + unit;
  }
  return num(v);
}

const scaled = (v: number) => (Math.abs(v) < 10 ? v.toFixed(1) : String(Math.round(v)));

/** 512 B, 1.5 kB, 12 GB, in powers of 1024 as PostgreSQL's pg_size_pretty. */
export function bytes(v: number | null | undefined): string {
  if (v === null || v === undefined) return "–";
  let size = Math.abs(v), unit = 0;
  while (size >= 1024 && unit < 5) [size, unit] = [size / 1024, unit + 1];
  return (v < 0 ? "−" : "") + (unit === 0 ? String(size) : scaled(size)) + " " + ["B", "kB", "MB", "GB", "TB", "PB"][unit];
}

/** 0.123 is 12 %. */
export function percent(part: number | null | undefined): string {
  if (part === null || part === undefined || !Number.isFinite(part)) return "–";
  const p = part * 100;
  return (p > 0 && p < 1 ? "<1" : p > 99 && p < 100 ? ">99" : String(Math.round(p))) + " %";
}

export function plural(n: number, one: string, many = one + "s"): string {
  return `${num(n)} ${n === 1 ? one : many}`;
}

/** A name as it is read: idle_in_transaction is idle in transaction. */
export const words = (name: string) => name.replaceAll("_", " ");
