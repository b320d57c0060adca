package store

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// stats_db notices when a process has gone without a word, of the lease too.
func TestSessionsEndWithTheirProcess(t *testing.T) {
	t.Parallel()
	s, _ := openStore(t)
	lease := s.NewLease(LeaseConfig{Holder: "test"})
	conn, err := lease.connected(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	const ask = "select concat_ws(' ', current_setting('client_connection_check_interval'), current_setting('tcp_user_timeout'), current_setting('tcp_keepalives_idle'))"
	for name, row := range map[string]pgx.Row{"pool": s.pool.QueryRow(t.Context(), ask), "lease": conn.QueryRow(t.Context(), ask)} {
		var got string
		if err := row.Scan(&got); err != nil || got != "5s 30000 15" {
			t.Errorf("the %s has %q, %v", name, got, err)
		}
	}
}
