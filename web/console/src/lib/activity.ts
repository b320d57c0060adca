// From answers about sessions over time to what charts draw.
import type { ActivitySeries, TopRow } from "../schema";
import { classColour, classNames, otherColour, seriesColour, waitClasses, type WaitClass } from "./palette";
import { age } from "./time";
import type { ChartSeries } from "../ui/chart";
import { valueText } from "../ui/chips";

export interface Drawing {
  times: number[];
  step: number;
  series: ChartSeries[];
  /** Most sessions in one tick of each bucket. */
  peak: ChartSeries;
  note: string;
}

const grains: Record<string, string> = {
  tick: "every tick", minute: "sums by minute", "10minute": "sums by ten minutes", hour: "sums by hour", day: "sums by day",
};

/** What a value of a dimension is called; of a query, the beginning of its text. */
export function labelOf(by: string, row: Pick<TopRow, "key" | "query">): string {
  if (by === "query" && row.query) return row.query;
  return valueText(by, row.key);
}

/** The series of an answer, from the bottom of the stack; those that are nothing throughout are left out. */
export function drawingOf(answer: ActivitySeries): Drawing {
  const by = answer.group_by ?? "wait_class";
  let series: ChartSeries[];
  if (answer.average_active_sessions) {
    const classes = answer.average_active_sessions;
    series = waitClasses.map((c: WaitClass) => ({ key: c, label: classNames[c], colour: classColour(c), values: classes[c] }));
  } else {
    series = (answer.series ?? []).map((s, n) => ({ key: s.key ?? "", label: labelOf(by, s), colour: seriesColour(n), values: s.average_active_sessions }));
    if (answer.other) series.push({ key: "(other)", label: `other${answer.other_keys ? ` (${answer.other_keys})` : ""}`, colour: otherColour, values: answer.other });
  }
  const any = series.filter((s) => s.values.some((v) => v !== null && v > 0));
  return {
    times: answer.times.map((t) => Date.parse(t)),
    step: answer.step_seconds * 1000,
    series: any.length > 0 ? any : series.slice(0, 1),
    peak: { key: "peak", label: "peak", colour: "--text", values: answer.max_sessions, line: true },
    note: `averages of ${age(answer.step_seconds)}, from ${grains[answer.grain] ?? answer.grain}`,
  };
}
