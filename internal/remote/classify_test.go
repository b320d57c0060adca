package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
)

// Where TLS is preferred, that a server has none is not why it was not entered.
func TestClassifyWhereTLSIsPreferred(t *testing.T) { //nolint:paralleltest // It takes no time.
	refused := errors.New("tls error: server refused TLS connection")
	for _, tt := range []struct {
		then error
		want sample.Reason
	}{
		{nil, sample.TLSFailed},
		{context.DeadlineExceeded, sample.Timeout},
		{io.EOF, sample.ConnectionLost},
	} {
		if got := remote.Classify(fmt.Errorf("connect: %w", errors.Join(refused, tt.then))); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.then, got, tt.want)
		}
	}
}
