package store

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/guard"
	"github.com/pgam/pgam/internal/statsdb"
)

// question is one prepared statement of several that are asked in one round
// trip.
type question struct {
	name, sql string
	args      func(p *params)
	// row takes one row of the answer; its values are good until it returns.
	row func(v values)
}

// ask sends questions together, in one implicit transaction, and hands over
// the answers as they come. Rows are read by hand, because for thousands of
// them the driver's reflection would cost more than all the rest of an answer.
func (s *Store) ask(ctx context.Context, questions ...question) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	statements := make([]*pgconn.StatementDescription, len(questions))
	for i, q := range questions {
		if statements[i], err = conn.Conn().Prepare(ctx, q.name, q.sql); err != nil { // known from the second time on
			return err
		}
	}
	pipe := conn.Conn().PgConn().StartPipeline(ctx)
	var p params
	for i, q := range questions {
		q.args(&p)
		pipe.SendQueryStatement(statements[i], p.list(), binaryFormat, binaryFormat)
		p.reset()
	}
	err = pipe.Sync()
	for i := 0; err == nil && i < len(questions); i++ {
		err = readAnswer(pipe, questions[i].row)
	}
	if closeErr := pipe.Close(); err == nil {
		err = closeErr
	}
	return err
}

func readAnswer(pipe *pgconn.Pipeline, row func(v values)) error {
	results, err := pipe.GetResults()
	if err != nil {
		return err
	}
	reader, ok := results.(*pgconn.ResultReader)
	if !ok {
		return statsdb.ErrNoAnswer
	}
	// A row that is not as it was written must not cost more than its answer.
	fault := guard.Run(func() error {
		for reader.NextRow() {
			row(values(reader.Values()))
		}
		return nil
	})
	if _, err = reader.Close(); fault != nil {
		return fault
	}
	return err
}

// values are the columns of a row in binary; nil is null.
type values [][]byte

func (v values) null(i int) bool { return v[i] == nil }

func (v values) bool(i int) bool { return len(v[i]) == 1 && v[i][0] != 0 }

func (v values) text(i int) string { return string(v[i]) }

// oid and those that follow give zero for null.
func (v values) oid(i int) uint32 {
	if len(v[i]) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(v[i])
}

func (v values) int4(i int) int32 { return int32(v.oid(i)) }

func (v values) int8(i int) int64 {
	if len(v[i]) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(v[i]))
}

// integer gives an integer or a bigint.
func (v values) integer(i int) int64 {
	if len(v[i]) == 4 {
		return int64(v.int4(i))
	}
	return v.int8(i)
}

func (v values) int8OrNil(i int) *int64 {
	if v.null(i) {
		return nil
	}
	n := v.int8(i)
	return &n
}

func (v values) float8(i int) float64 { return math.Float64frombits(uint64(v.int8(i))) }

// micros gives an instant in microseconds since the Unix epoch.
func (v values) micros(i int) int64 { return v.int8(i) + pgEpochMicros }

func (v values) time(i int) time.Time { return time.UnixMicro(v.micros(i)).UTC() }

func (v values) timeOrNil(i int) *time.Time {
	if v.null(i) {
		return nil
	}
	t := v.time(i)
	return &t
}

// texts gives a one-dimensional text[] without nulls.
func (v values) texts(i int) []string {
	const header = 20
	b := v[i]
	if len(b) < header {
		return nil
	}
	list := make([]string, 0, min(binary.BigEndian.Uint32(b[12:]), uint32(len(b))))
	for b = b[header:]; len(b) >= 4; {
		n := int64(binary.BigEndian.Uint32(b))
		if b = b[4:]; n > int64(len(b)) {
			return list
		}
		list, b = append(list, string(b[:n])), b[n:]
	}
	return list
}
