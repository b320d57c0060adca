package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/pgam/pgam/internal/ingest"
	"github.com/pgam/pgam/internal/legacy"
)

// importReport is what an import did, or would do.
type importReport struct {
	DryRun  bool              `json:"dry_run"`
	Users   []importedUser    `json:"users"`
	Servers []importedServer  `json:"servers"`
	History []importedHistory `json:"history"`
	ToDo    []string          `json:"to_do"`
}

type importedUser struct {
	Login  string `json:"login"`
	Role   string `json:"role,omitempty"`
	Status string `json:"status"`
	Remark string `json:"remark,omitempty"`
}

type importedServer struct {
	Name       string `json:"name"`
	NameBefore string `json:"name_before,omitempty"`
	Status     string `json:"status"`
	HostKey    string `json:"host_key,omitempty"` // pinned now
	Remark     string `json:"remark,omitempty"`
}

type importedHistory struct {
	Server   string `json:"server"`
	Source   string `json:"source"`
	Database string `json:"database"`
	Status   string `json:"status"`
	Remark   string `json:"remark,omitempty"`

	// Rows of the Python version: all of them are imported, present or skipped.
	RowsRead     int64       `json:"rows_read"`
	RowsImported int64       `json:"rows_imported"`
	RowsPresent  int64       `json:"rows_present"`
	RowsSkipped  skippedRows `json:"rows_skipped"`
	// ValuesSkipped are single impossible values of other rows.
	ValuesSkipped int64 `json:"values_skipped"`
	// Sizes and disks were in imported rows.
	SizesImported int64      `json:"sizes_imported"`
	DisksImported int64      `json:"disks_imported"`
	From          *time.Time `json:"from"`
	To            *time.Time `json:"to"`
	Seconds       float64    `json:"seconds"`
}

type skippedRows struct {
	Duplicate  int64 `json:"duplicate"`
	Own        int64 `json:"own"`
	NoDatabase int64 `json:"no_database"`
	Future     int64 `json:"future"`
	Broken     int64 `json:"broken"`
}

// span notes which time a chunk is of.
func (h *importedHistory) span(c ingest.ImportedChunk) {
	if len(c.Stats) == 0 {
		return
	}
	if h.From == nil {
		h.From = &c.Stats[0].At
	}
	h.To = &c.Stats[len(c.Stats)-1].At
}

func (h *importedHistory) fill(read legacy.Counts, written ingest.ImportCounts, took time.Duration) {
	h.RowsRead, h.RowsImported, h.RowsPresent = read.Read, written.Samples, written.Present
	h.RowsSkipped = skippedRows{
		Duplicate: read.Duplicate, Own: read.Own, NoDatabase: read.NoDatabase, Future: read.Future, Broken: read.Broken,
	}
	h.ValuesSkipped, h.SizesImported, h.DisksImported = read.Values, written.Sizes, written.Disks
	h.Seconds = float64(took.Milliseconds()) / 1000
}

// whySkipped says in words which rows were skipped.
func (h *importedHistory) whySkipped() string {
	var parts []string
	for _, reason := range []struct {
		rows int64
		why  string
	}{
		{h.RowsSkipped.Own, "not older than pgam's own first sample"},
		{h.RowsSkipped.Duplicate, "with the instant and database of another"},
		{h.RowsSkipped.NoDatabase, "without a database"},
		{h.RowsSkipped.Future, "later than now"},
		{h.RowsSkipped.Broken, "without anything usable"},
	} {
		if reason.rows > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", reason.rows, reason.why))
		}
	}
	if h.ValuesSkipped > 0 {
		parts = append(parts, fmt.Sprintf("%d single values that cannot be", h.ValuesSkipped))
	}

	return strings.Join(parts, ", ")
}

// printImport prints the report, for a person or as JSON.
func (t *tool) printImport(r *importReport, asJSON bool) error {
	if asJSON {
		whole := *r
		// Lists are never null.
		whole.Users, whole.Servers = append([]importedUser{}, r.Users...), append([]importedServer{}, r.Servers...)
		whole.History, whole.ToDo = append([]importedHistory{}, r.History...), append([]string{}, r.ToDo...)
		encoder := json.NewEncoder(t.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")

		return encoder.Encode(whole)
	}
	if r.DryRun {
		t.printf("Dry run: nothing was written.\n\n")
	}
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, section := range []func(*tabwriter.Writer, *importReport){tableOfUsers, tableOfServers, tableOfHistory} {
		section(table, r)
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if len(r.ToDo) > 0 {
		t.printf("To do\n")
		for _, line := range r.ToDo {
			t.printf("- %s\n", line)
		}
	}

	return nil
}

func tableOfUsers(w *tabwriter.Writer, r *importReport) {
	if len(r.Users) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w, "USER\tROLE\tSTATUS\tREMARK")
	for _, u := range r.Users {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", u.Login, u.Role, u.Status, u.Remark)
	}
	_, _ = fmt.Fprintln(w)
}

func tableOfServers(w *tabwriter.Writer, r *importReport) {
	if len(r.Servers) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w, "SERVER\tSTATUS\tPINNED HOST KEY\tREMARK")
	for _, s := range r.Servers {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Name, s.Status, s.HostKey, s.Remark)
	}
	_, _ = fmt.Fprintln(w)
}

func tableOfHistory(w *tabwriter.Writer, r *importReport) {
	if len(r.History) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w, "HISTORY OF\tIN\tSTATUS\tFROM\tTO\tROWS\tNEW\tPRESENT\tSKIPPED\tSIZES\tDISKS\tREMARK")
	for n := range r.History {
		h := &r.History[n]
		s := h.RowsSkipped
		remark := h.Remark
		if why := h.whySkipped(); why != "" {
			remark = strings.TrimPrefix(remark+"; "+why, "; ")
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", h.Server, h.Database, h.Status, onDay(h.From), onDay(h.To), h.RowsRead,
			h.RowsImported, h.RowsPresent, s.Duplicate+s.Own+s.NoDatabase+s.Future+s.Broken, h.SizesImported, h.DisksImported, remark)
	}
	_, _ = fmt.Fprintln(w)
}

func onDay(t *time.Time) string {
	if t == nil {
		return "-"
	}

	return t.Format(time.DateOnly)
}

// sayEvery is the time between two lines of progress where no person watches.
const sayEvery = 5 * time.Second

// importProgress shows how far an import, or what else takes long, is: as a bar
// on a terminal, else as a line now and then.
type importProgress struct {
	t       *tool
	what    string
	unit    string
	total   int64
	bar     *progressbar.ProgressBar
	begun   time.Time
	said    time.Time
	current int64
}

func newImportProgress(t *tool, name string, total int64) *importProgress {
	return newProgress(t, name, fmt.Sprintf("history of %q", name), "rows", total)
}

// newProgress is of so many units of something; label stands at the bar.
func newProgress(t *tool, label, what, unit string, total int64) *importProgress {
	p := &importProgress{t: t, what: what, unit: unit, total: total, begun: time.Now(), said: time.Now()}
	if screen, ok := t.errOut.(*os.File); ok && isTerminal(screen) {
		p.bar = progressbar.NewOptions64(max(total, 1), progressbar.OptionSetWriter(screen), progressbar.OptionSetDescription(label),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
	}

	return p
}

// at says how many rows are done.
func (p *importProgress) at(rows int64) {
	p.current = rows
	if p.bar != nil {
		_ = p.bar.Set64(min(rows, max(p.total, 1)))

		return
	}
	if time.Since(p.said) < sayEvery {
		return
	}
	p.said = time.Now()
	left := "unknown"
	if rows > 0 && rows <= p.total {
		left = time.Duration(float64(time.Since(p.begun)) * float64(p.total-rows) / float64(rows)).Round(time.Second).String()
	}
	p.t.say("%s: %d of %d %s, time left: %s", p.what, rows, p.total, p.unit, left)
}

func (p *importProgress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
