package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Duration is a length of time, never negative, written as Go writes it and
// with days: 500ms, 15s, 90m, 1h30m, 30d, 1d12h.
type Duration time.Duration

var errDuration = errors.New("must be a length of time with its unit (ms, s, m, h or d)")

// Decode implements envconfig.Decoder.
func (d *Duration) Decode(text string) error {
	total := time.Duration(0)
	if days, rest, found := strings.Cut(text, "d"); found {
		count, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return errDuration
		}
		total, text = time.Duration(count)*day, rest
		if text == "" {
			*d = Duration(total)
			return nil
		}
	}
	// The parser takes a sign, and "0" without a unit.
	if text == "" || text[0] < '0' || text[0] > '9' || text == "0" {
		return errDuration
	}
	rest, err := time.ParseDuration(text)
	if err != nil || rest > math.MaxInt64-total {
		return errDuration
	}
	*d = Duration(total + rest)
	return nil
}

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String gives whole days as 30d and all else as Go does.
func (d Duration) String() string {
	if std := d.Std(); std > 0 && std%day == 0 {
		return strconv.FormatInt(int64(std/day), 10) + "d"
	}
	return d.Std().String()
}

// Bytes is an amount of data, never negative, written as a whole number with an
// optional unit: B, kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB
// (powers of 1024).
type Bytes int64

var errBytes = errors.New("must be a whole number of bytes, or one with a unit (kB, MB, GB, TB, KiB, MiB, GiB or TiB)")

// Decode implements envconfig.Decoder.
func (b *Bytes) Decode(text string) error {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	count, err := strconv.ParseInt(text[:digits], 10, 64)
	if err != nil {
		return errBytes
	}
	factor := byteFactor(strings.TrimLeft(text[digits:], " "))
	if factor == 0 || count > math.MaxInt64/factor {
		return errBytes
	}
	*b = Bytes(count * factor)
	return nil
}

// byteFactor returns what a unit stands for; 0 for no unit that is known.
func byteFactor(unit string) int64 {
	switch strings.ToLower(unit) {
	case "", "b":
		return 1
	case "kb":
		return 1e3
	case "mb":
		return 1e6
	case "gb":
		return 1e9
	case "tb":
		return 1e12
	case "kib":
		return 1 << 10
	case "mib":
		return 1 << 20
	case "gib":
		return 1 << 30
	case "tib":
		return 1 << 40
	}
	return 0
}

// PoolSize is how many connections a pool holds, written least-most: 1-5.
type PoolSize struct {
	Min int32 // 0 to Max: kept open
	Max int32 // 1 to 1000: open at most
}

// maxPoolSize bounds PoolSize.Max; no server is helped by more.
const maxPoolSize = 1000

var errPoolSize = fmt.Errorf("must be two whole numbers, least-most, with 0 <= least <= most <= %d and most >= 1", maxPoolSize)

// Decode implements envconfig.Decoder.
func (p *PoolSize) Decode(text string) error {
	least, most, found := strings.Cut(text, "-")
	low, errLow := strconv.ParseUint(strings.TrimSpace(least), 10, 16)
	high, errHigh := strconv.ParseUint(strings.TrimSpace(most), 10, 16)
	if !found || errLow != nil || errHigh != nil || low > high || high < 1 || high > maxPoolSize {
		return errPoolSize
	}
	*p = PoolSize{Min: int32(low), Max: int32(high)}
	return nil
}

// String gives the form that Decode reads.
func (p PoolSize) String() string { return fmt.Sprintf("%d-%d", p.Min, p.Max) }

// Level is the least severe level that is logged. It is a slog.Leveler.
type Level slog.Level

var errLevel = errors.New("must be debug, info, warning or error")

// Decode implements envconfig.Decoder. It also knows the names of Python's
// logging, in any case.
func (l *Level) Decode(text string) error {
	switch strings.ToLower(text) {
	case "debug", "notset":
		*l = Level(slog.LevelDebug)
	case "info":
		*l = Level(slog.LevelInfo)
	case "warning", "warn":
		*l = Level(slog.LevelWarn)
	case "error", "critical", "fatal":
		*l = Level(slog.LevelError)
	default:
		return errLevel
	}
	return nil
}

// Level implements slog.Leveler.
func (l Level) Level() slog.Level { return slog.Level(l) }
