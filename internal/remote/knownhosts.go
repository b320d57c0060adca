package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// errKnownHosts says that the known_hosts file has a fault; the log has it.
var errKnownHosts = errors.New("the known_hosts file cannot be read")

// settleTime is how long a changed file is read at every look: a second change
// within the resolution of its time stamp would not show.
const settleTime = 2 * time.Second

// verdict is what the known_hosts file says of a key.
type verdict int

const (
	keyUnknown verdict = iota // nothing, or that another one is expected
	keyKnown
	keyRefused // revoked, or a certificate that does not hold
)

// knownHostsFile is a file that may come, change and go.
type knownHostsFile struct {
	path string // empty: none
	log  *slog.Logger

	mu      sync.Mutex
	size    int64
	changed time.Time
	content *knownHosts
	err     error
}

// knownHosts is what such a file held at one moment; nil holds nothing.
type knownHosts struct{ db *knownhosts.HostKeyDB }

// load reads the file if it has changed since the last time. A file that does
// not exist knows nobody; one with a fault is an error, because what it would
// rule out is not known.
func (f *knownHostsFile) load() (*knownHosts, error) {
	if f.path == "" {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err == nil && info.Size() == f.size && info.ModTime().Equal(f.changed) && time.Since(f.changed) > settleTime {
		return f.content, f.err
	}
	f.content, f.size, f.changed = nil, -1, time.Time{}
	if errors.Is(err, fs.ErrNotExist) {
		f.err = nil
		return nil, nil
	}
	var db *knownhosts.HostKeyDB
	if err == nil {
		db, err = knownhosts.NewDB(f.path)
	}
	if err != nil {
		if f.err == nil {
			f.log.Error("known_hosts unreadable", "path", f.path, "err", err)
		}
		f.err = fmt.Errorf("%w: %w", errKnownHosts, err)
		return nil, f.err
	}
	f.content, f.err, f.size, f.changed = &knownHosts{db: db}, nil, info.Size(), info.ModTime()
	return f.content, nil
}

// of gives the keys known for an address and the algorithms to ask it for.
func (k *knownHosts) of(address string) (keys []ssh.PublicKey, algorithms []string) {
	if k == nil {
		return nil, nil
	}
	for _, key := range k.db.HostKeys(address) {
		keys = append(keys, key.PublicKey)
	}
	strong := ssh.SupportedAlgorithms().HostKeys
	algorithms = slices.DeleteFunc(k.db.HostKeyAlgorithms(address), func(a string) bool { return !slices.Contains(strong, a) })
	if len(algorithms) == 0 {
		algorithms = hostKeyTypes() // what is known is too weak: the host shows a better one
	}
	return keys, algorithms
}

// judge says what is known of a key at an address.
func (k *knownHosts) judge(address string, remote net.Addr, key ssh.PublicKey) verdict {
	if k == nil {
		return keyUnknown
	}
	switch err := k.db.HostKeyCallback()(address, remote, key); {
	case err == nil:
		return keyKnown
	case knownhosts.IsHostUnknown(err), knownhosts.IsHostKeyChanged(err):
		return keyUnknown
	}
	return keyRefused
}
