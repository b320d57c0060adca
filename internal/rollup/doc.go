// Package rollup owns how session samples become sums: windows are folded into
// rows by minute and by ten minutes, and rows into rows of longer buckets.
//
// Samples come in as ids of dictionaries and go out as counts of ids; nothing
// here talks to anything. What must hold: only answered ticks count; the samples
// of a row are those of its keys and its tail together, whatever is cut off;
// what is made of the same windows is the same, however often they are given
// in whatever order.
package rollup
