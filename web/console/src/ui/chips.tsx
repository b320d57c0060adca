import { dimensionNames, filters, here, toggleFilter, go } from "../lib/route";
import { classNames, type WaitClass } from "../lib/palette";

/** How a value of a dimension is written; nothing is what has none. */
export function valueText(dimension: string, value: string | null): string {
  if (!value) return dimension === "client" ? "(Unix socket)" : "(none)";
  return dimension === "wait_class" ? (classNames[value as WaitClass] ?? value) : value;
}

/** The filter, each of its parts with a way out. */
export function Chips() {
  const all = filters.value;
  if (all.length === 0) return null;
  return (
    <ul class="chips" aria-label="filter">
      {all.map((f) => (
        <li key={`${f.not}${f.dimension}:${f.value}`}>
          <button onClick={() => toggleFilter({ ...f, not: !f.not })} title={f.not ? "Only this" : "All but this"}>
            {dimensionNames[f.dimension]} {f.not ? "≠" : "="} <b>{valueText(f.dimension, f.value)}</b>
          </button>
          <button onClick={() => toggleFilter(f)} aria-label={`remove the filter on ${dimensionNames[f.dimension]}`}>×</button>
        </li>
      ))}
      <li class="bare">
        <button onClick={() => go(here({ f: null }))}>Clear the filter</button>
      </li>
    </ul>
  );
}
