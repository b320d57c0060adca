package spool

import (
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// learn keeps the next ids ahead of every entry, so that a restart without
// stats_db cannot give an id a second meaning.
func (s *Spool) learn(v *sample.Visit) {
	if v.Entries.Empty() {
		return
	}
	n := s.next[v.Server]
	for i := range v.Entries.Sessions {
		n.Session = max(n.Session, v.Entries.Sessions[i].ID+1)
	}
	for i := range v.Entries.Queries {
		n.Query = max(n.Query, v.Entries.Queries[i].ID+1)
	}
	for i := range v.Entries.Locks {
		n.Lock = max(n.Lock, v.Entries.Locks[i].ID+1)
	}
	for i := range v.Entries.Waits {
		n.Wait = max(n.Wait, min(max(v.Entries.Waits[i].ID, -v.Entries.Waits[i].ID), 1<<15-2)+1)
	}
	if n != s.next[v.Server] {
		s.next[v.Server] = n
		s.dirty[v.Server] = true
	}
}

// Ahead keeps the next ids of a server at least at n.
func (s *Spool) Ahead(server target.ID, n sample.NextIDs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n = n.Max(s.next[server]); n != s.next[server] {
		s.next[server] = n
		s.dirty[server] = true
	}
}

// NextIDs gives ids of a server's dictionaries above all that were ever
// appended here.
func (s *Spool) NextIDs(server target.ID) sample.NextIDs {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next[server]
}

// encodeIDs gives what is kept of a server's next ids.
func encodeIDs(server target.ID, n sample.NextIDs) []byte {
	e := encoder{}
	e.int(int64(n.Session))
	e.int(int64(n.Query))
	e.int(int64(n.Wait))
	e.int(int64(n.Lock))
	return withSum(key(uint64(server)), e.b)
}

// decodeIDs reads it, and reports false if it is not as it was written.
func decodeIDs(k, v []byte) (n sample.NextIDs, ok bool) {
	v, ok = withoutSum(k, v)
	d := decoder{b: v}
	n = sample.NextIDs{Session: d.int32(), Query: d.int32(), Wait: d.int16(), Lock: d.int32()}
	return n, ok && !d.bad && len(d.b) == 0 && len(k) == 8
}
