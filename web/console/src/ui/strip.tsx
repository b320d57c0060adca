import { useMemo } from "preact/hooks";

export interface Cell {
  /** 0 to 1: how dark; null: not seen, hatched. */
  level: number | null;
  /** Of the sheet's: heat, ok, some, none. */
  tone?: "heat" | "ok" | "some" | "none";
}

/**
 * A strip of time: a cell a bucket, dark where much was, hatched where nobody
 * looked. Cells of the same look are one rectangle.
 */
export function Strip(props: {
  cells: Cell[];
  label: string;
  class?: string;
  /** The part that is shown, in cells: where it begins and how long it is; by default all. */
  from?: number;
  length?: number;
}) {
  const { cells, label, class: name = "" } = props;
  const runs = useMemo(() => {
    const list: { from: number; length: number; look: string }[] = [];
    cells.forEach((cell, i) => {
      const look = cell.level === null ? "unseen" : `${cell.tone ?? "heat"} l${Math.ceil(Math.min(1, cell.level) * 8)}`;
      const last = list.at(-1);
      if (last?.look === look) last.length++;
      else list.push({ from: i, length: 1, look });
    });
    return list;
  }, [cells]);
  return (
    <svg class={`strip ${name}`} role="img" aria-label={label} viewBox={`${props.from ?? 0} 0 ${props.length ?? Math.max(cells.length, 1)} 1`} preserveAspectRatio="none">
      <title>{label}</title>
      {runs.filter((r) => r.look !== "unseen").map((r) => (
        // The hatch of what was not seen is the background.
        <g key={r.from}>
          <rect class="base" x={r.from} y={0} width={r.length} height={1} />
          <rect class={r.look} x={r.from} y={0} width={r.length} height={1} />
        </g>
      ))}
    </svg>
  );
}
