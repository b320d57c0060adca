package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxVerified is how many tokens are remembered, twice: about a megabyte.
const maxVerified = 4096

// verified remembers what good tokens say, so that a client's next request
// costs one hash instead of a signature and two JSON documents. Nothing about a
// token's goodness changes but its age, which the caller looks at; whether it
// was revoked is never remembered here. Tokens are known by their hash only.
type verified struct {
	mu         sync.RWMutex
	young, old map[[sha256.Size]byte]Claims
}

// get gives the claims of a token that was found good before.
func (v *verified) get(key [sha256.Size]byte) (Claims, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	claims, ok := v.young[key]
	if !ok {
		claims, ok = v.old[key]
	}
	return claims, ok
}

// put remembers a good token. When there are too many, those that were not put
// again since the last time are forgotten.
func (v *verified) put(key [sha256.Size]byte, claims Claims) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.young == nil || len(v.young) >= maxVerified {
		v.young, v.old = make(map[[sha256.Size]byte]Claims), v.young
	}
	v.young[key] = claims
}

// expired reports whether a token's time is over.
func (c *Claims) expired(now time.Time) bool { return !now.Before(c.ExpiresAt) }
