package v1

import (
	"context"
	"time"
)

type storedRow struct {
	Table            string     `json:"table" doc:"Table of the schema history; report has views of it."`
	StepSeconds      *int       `json:"step_seconds" doc:"Of rollups, the width of a bucket; each step is a row. Null: not a rollup by step."`
	Partitions       int        `json:"partitions" doc:"0: it has none, and is a dictionary or the like."`
	RowsEstimated    int64      `json:"rows_estimated"`
	TotalBytes       int64      `json:"total_bytes"`
	HeapBytes        int64      `json:"heap_bytes"`
	IndexBytes       int64      `json:"index_bytes"`
	ToastBytes       int64      `json:"toast_bytes"`
	Oldest           *time.Time `json:"oldest" doc:"From when on partitions hold something; null: nothing is held, or there are none."`
	Newest           *time.Time `json:"newest" doc:"Until when."`
	BytesPerDay      *float64   `json:"bytes_per_day" doc:"From partitions whose time is over; of the newest so far, where there is no other."`
	RetentionSeconds *float64   `json:"retention_seconds" doc:"How long what a partition holds is kept after its end; 0: for ever; null: no limit, or the collector has not said it yet."`
	DropsAt          *time.Time `json:"drops_at" doc:"When the oldest partition is due to be dropped; it is done within the hour."`
}

type storageBody struct {
	At            time.Time   `json:"at"`
	DatabaseBytes int64       `json:"database_bytes" doc:"All of stats_db."`
	TotalBytes    int64       `json:"total_bytes" doc:"Of the tables listed."`
	BytesPerDay   float64     `json:"bytes_per_day" doc:"Sum of what is known of the tables listed."`
	Tables        []storedRow `json:"tables" nullable:"false" doc:"The largest first."`
}

func (r routes) storage(ctx context.Context, _ *struct{}) (*output[storageBody], error) {
	s, err := r.History.Storage(ctx, r.Now())
	if err != nil {
		return nil, err
	}
	body := storageBody{At: utc(s.At), DatabaseBytes: s.DatabaseBytes, Tables: make([]storedRow, len(s.Tables))}
	for i, t := range s.Tables {
		row := storedRow{
			Table: t.Table, Partitions: t.Partitions, RowsEstimated: t.Rows, TotalBytes: t.Bytes(), HeapBytes: t.HeapBytes, IndexBytes: t.IndexBytes,
			ToastBytes: t.ToastBytes, Oldest: utcOrNull(t.Oldest), Newest: utcOrNull(t.Newest), BytesPerDay: t.BytesPerDay, DropsAt: utcOrNull(t.Drops),
		}
		if t.Step > 0 {
			step := int(t.Step / time.Second)
			row.StepSeconds = &step
		}
		if t.Kept != nil {
			kept := t.Kept.Seconds()
			row.RetentionSeconds = &kept
		}
		if t.BytesPerDay != nil {
			body.BytesPerDay += *t.BytesPerDay
		}
		body.Tables[i], body.TotalBytes = row, body.TotalBytes+row.TotalBytes
	}
	return say(body), nil
}
