package journal

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// leaseFile keeps what the journal knows of the lease on stats_db. It is a file
// of its own: a journal that is set aside does not take it along.
const leaseFile = "lease.json"

// holding is what is in it.
type holding struct {
	ID  string `json:"id"`
	Led bool   `json:"led"`
}

// Holder gives the name by which this journal holds the lease on stats_db, the
// same in every run on this host, and whether it held it last as far as it knows.
func (j *Journal) Holder() (holder string, led bool, err error) {
	h, err := j.holding()
	if err != nil {
		return "", false, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return host + "/" + h.ID, h.Led, nil
}

// Lead notes whether this journal's collector holds the lease. It is on disk when
// Lead returns: a start without stats_db goes by it.
func (j *Journal) Lead(led bool) error {
	h, err := j.holding()
	if err != nil || h.Led == led {
		return err
	}
	h.Led = led
	return j.putHolding(h)
}

// holding reads the file, or begins one. What cannot be understood is another
// journal's: one that never led.
func (j *Journal) holding() (h holding, err error) {
	data, err := readWhole(filepath.Join(j.cfg.Dir, leaseFile))
	if err == nil && json.Unmarshal(data, &h) == nil && h.ID != "" {
		return h, nil
	}
	if errors.As(err, new(*os.PathError)) && !errors.Is(err, os.ErrNotExist) {
		return h, fmt.Errorf("read what the journal knows of the lease: %w", err)
	}
	h = holding{ID: rand.Text()[:12]}
	return h, j.putHolding(h)
}

func (j *Journal) putHolding(h holding) error {
	data, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode what the journal knows of the lease: %w", err)
	}
	if err := writeWhole(filepath.Join(j.cfg.Dir, leaseFile), data); err != nil {
		return fmt.Errorf("keep what the journal knows of the lease: %w", err)
	}
	return nil
}
