import { classColour, classNames, waitClasses, type WaitClass } from "../lib/palette";
import { num } from "../lib/format";

export type ByClass = Partial<Record<WaitClass, number>>;

/**
 * A number of sessions as a bar, split by wait class where that is known.
 * of: the length of the whole track, in the same unit.
 */
export function Bar({ split, total, of, label }: { split?: ByClass | null; total: number; of: number; label?: string }) {
  const track = Math.max(of, total, 1e-9);
  const parts = split ? waitClasses.filter((c) => (split[c] ?? 0) > 0) : [];
  const told = parts.toSorted((a, b) => split![b]! - split![a]!).map((c) => `${classNames[c]} ${num(split![c])}`);
  const text = [label ?? num(total), ...told].join(", ");
  return (
    <span class="bar" role="img" aria-label={text} title={text}>
      {split
        ? parts.map((c) => <i key={c} style={{ width: `${(100 * split[c]!) / track}%`, background: `var(${classColour(c)})` }} />)
        : total > 0 && <i class="plain" style={{ width: `${(100 * total) / track}%` }} />}
    </span>
  );
}

/** A part of a whole, such as connections of max_connections. */
export function Meter({ value, of, warn = 0.8, text }: { value: number; of: number; warn?: number; text: string }) {
  const part = of > 0 ? Math.min(1, value / of) : 0;
  return (
    <span class="meter" title={text}>
      <i class={part >= warn ? "high" : ""} style={{ width: `${100 * part}%` }} />
    </span>
  );
}
