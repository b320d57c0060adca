package statsdb_test

import (
	"testing"

	"github.com/pgam/pgam/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
