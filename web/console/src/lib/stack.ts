// Arithmetic of charts, without a browser.

export type Values = readonly (number | null)[];

/** Sums from the bottom: the nth is the first n + 1 series added up; null where none is known. */
export function stack(series: readonly Values[]): (number | null)[][] {
  const sums: (number | null)[][] = [];
  series.forEach((values, n) => {
    sums.push(values.map((v, i) => {
      const below = n === 0 ? null : sums[n - 1]![i]!;
      return v === null ? below : (below ?? 0) + v;
    }));
  });
  return sums;
}

/** Runs of buckets that nobody has looked at: from the first to before the last. */
export function gaps(series: readonly Values[], length: number): [number, number][] {
  const list: [number, number][] = [];
  for (let i = 0; i < length; i++) {
    if (series.some((values) => values[i] !== null && values[i] !== undefined)) continue;
    const last = list.at(-1);
    if (last && last[1] === i) last[1]++;
    else list.push([i, i + 1]);
  }
  return list;
}

/** The bucket of an instant; -1: before the first. */
export function bucketAt(times: readonly number[], at: number): number {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export interface Span2 {
  from: number;
  to: number;
}

/** A range around the middle of another, so many times as long, that does not end after now. */
export function zoomed({ from, to }: Span2, factor: number, now: number): Span2 {
  const length = Math.max(10e3, Math.min((to - from) * factor, 3660 * 86400e3)), middle = (from + to) / 2;
  return within({ from: middle - length / 2, to: middle + length / 2 }, now);
}

/** A range moved by so many of its lengths. */
export function shifted({ from, to }: Span2, by: number, now: number): Span2 {
  return within({ from: from + (to - from) * by, to: to + (to - from) * by }, now);
}

function within({ from, to }: Span2, now: number): Span2 {
  const over = Math.max(0, to - Math.ceil(now / 1000) * 1000);
  return { from: Math.round((from - over) / 1000) * 1000, to: Math.round((to - over) / 1000) * 1000 };
}
