package api_test

import (
	"testing"
	"time"
)

// What the history takes is shown to everyone who may read it.
func TestStorage(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	now := time.Now().UTC()
	if err := a.write.EnsurePartitions(t.Context(), now, now.AddDate(0, 0, 3)); err != nil {
		t.Fatal(err)
	}
	body := a.row(a.want(200, a.get("/api/v1/storage")))
	tables, _ := body["tables"].([]any)
	found := make(map[string]row)
	var sum float64
	for _, one := range tables {
		table, _ := one.(row)
		name, _ := table["table"].(string)
		found[name] = table
		bytes, _ := table["total_bytes"].(float64)
		sum += bytes
	}
	samples := found["activity"]
	if samples["partitions"] != 4.0 || samples["oldest"] != nil || samples["retention_seconds"] != nil || samples["step_seconds"] != nil {
		t.Errorf("samples: %v", samples)
	}
	if found["activity_rollup"]["step_seconds"] == nil || found["query"]["partitions"] != 0.0 {
		t.Errorf("rollups %v, statements %v", found["activity_rollup"], found["query"])
	}
	if body["total_bytes"] != sum {
		t.Errorf("in all %v, want %v", body["total_bytes"], sum)
	}
}
