package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// TestAnotherFormatIsRefused: a journal of another version is left as it is, and one
// line says what it is and what to do.
func TestAnotherFormatIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		noted []byte
		says  string
	}{
		"older": {append(key(1), key(0)...), "is of a format before 4,"},
		"newer": {append([]byte{format + 1}, append(key(1), key(0)...)...), "is of format 6,"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := together(t, dir, 1)
			err := s.db.Update(func(tx *bbolt.Tx) error {
				_, err := tx.CreateBucket([]byte("next_ids")) // which this format does not have
				return errors.Join(err, tx.Bucket(bucketMeta).Put(keyCounts, withSum(keyCounts, c.noted)))
			})
			if err != nil {
				t.Fatal(err)
			}
			mustClose(t, s)
			path := filepath.Join(dir, FileName)
			before := fileSize(t, path)
			_, err = Open(Config{Dir: dir, MaxBytes: plenty, Log: quiet()})
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("it is said: %v", err)
			}
			left, err := filepath.Glob(path + "*")
			if err != nil || len(left) != 1 || fileSize(t, path) != before {
				t.Errorf("left in the folder: %v, %v", left, err)
			}
			if err := os.Remove(path); err != nil { // as it says
				t.Fatal(err)
			}
			openHere(t, dir, plenty)
		})
	}
}
