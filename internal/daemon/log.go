package daemon

import (
	"bytes"
	"io"
	"log/slog"
	"os"

	"github.com/coreos/go-systemd/v22/journal"
)

// formatJSON is the other form of the log than text.
const formatJSON = "json"

// NewLogger returns a logger to w: one line a message, times in UTC.
func NewLogger(w io.Writer, options Options) *slog.Logger {
	handler := &slog.HandlerOptions{
		Level: options.Level,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && attr.Key == slog.TimeKey && attr.Value.Kind() == slog.KindTime {
				attr.Value = slog.TimeValue(attr.Value.Time().UTC())
			}
			return attr
		},
	}
	if options.Format == formatJSON {
		return slog.New(slog.NewJSONHandler(w, handler))
	}
	return slog.New(slog.NewTextHandler(w, handler))
}

// toJournal reports whether what the frame logs goes straight to journald.
func (f *Frame) toJournal() bool {
	if f.stderr != os.Stderr {
		return false
	}
	direct, err := journal.StderrIsJournalStream()

	return err == nil && direct
}

// newJournalLogger returns a logger of lines for journald, which adds the time
// and takes the level from the number in front (sd-daemon(3)).
func newJournalLogger(w io.Writer, options Options) *slog.Logger {
	return slog.New(slog.NewTextHandler(journalWriter{w}, &slog.HandlerOptions{
		Level: options.Level,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && attr.Key == slog.TimeKey {
				return slog.Attr{}
			}

			return attr
		},
	}))
}

// journalWriter puts the priority before lines that begin with their level.
type journalWriter struct{ out io.Writer }

// Write implements io.Writer; slog gives it a line a call.
func (w journalWriter) Write(line []byte) (int, error) {
	priority := "<6>"
	for level, number := range map[string]string{"level=DEBUG": "<7>", "level=WARN": "<4>", "level=ERROR": "<3>"} {
		if bytes.HasPrefix(line, []byte(level)) {
			priority = number
		}
	}
	if _, err := w.out.Write(append([]byte(priority), line...)); err != nil {
		return 0, err
	}

	return len(line), nil
}
