package live

import (
	"context"
	"errors"
	"fmt"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/target"
)

// Pins stores the key of a server's host. It reports false, and changes
// nothing, where one is stored already or SSH goes elsewhere than it did for t.
type Pins interface {
	PinHostKey(ctx context.Context, t target.Target, hostKey string) (bool, error)
}

// HostKey is a host's public key: its line, algorithm and fingerprint.
type HostKey = remote.HostKey

// HostKey reads a host's public key as it stands in authorized_keys or
// known_hosts; the error wraps target.ErrInvalid.
func (l *Live) HostKey(line string) (HostKey, error) { return remote.ParseHostKey(line) }

// firstContact reports whether a host was refused only because nobody has
// confirmed its key, and it is to be pinned.
func (l *Live) firstContact(err error) bool {
	refused, ok := errors.AsType[*remote.HostKeyError](err)
	return l.pins != nil && ok && !refused.Changed()
}

// pin stores the key that a host shows at first contact, and gives the server
// as it is then: with this key, or with the one that somebody else pinned.
func (l *Live) pin(ctx context.Context, t target.Target) (target.Target, error) {
	shown, err := l.shells.ScanHostKey(ctx, t)
	if err != nil {
		return t, err
	}
	pinned, err := l.pins.PinHostKey(ctx, t, shown.Line)
	if err != nil {
		return t, fmt.Errorf("pin host key of %s: %w", t.Name, err)
	}
	if pinned {
		l.log.InfoContext(ctx, "host key pinned at first contact", "server", t.Name, "fingerprint", shown.Fingerprint)
	}
	if err := l.Refresh(ctx); err != nil {
		return t, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	now, ok := l.byID[t.ID]
	if !ok {
		return t, target.ErrNotFound
	}
	return now, nil
}
