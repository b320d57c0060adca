package account

import (
	"crypto/sha256"
	"net/netip"
)

// The networks that logins are told apart by: whoever has one IPv6 address has
// 2⁶⁴ of them, and often a /48 of networks.
const (
	sourceBits6  = 64
	networkBits4 = 24
	networkBits6 = 48
)

// LoginAttempt says who tries to log in, and from where.
type LoginAttempt struct {
	Source  string // an IPv4 address, or the /64 of an IPv6 one
	Network string // its /24 or /48
	Login   string // as it was sent: perhaps nobody's
}

// NewLoginAttempt makes the LoginAttempt of a client's address. Clients without
// one are one source.
func NewLoginAttempt(client netip.Addr, login string) LoginAttempt {
	client = client.Unmap().WithZone("")
	part := func(bits int) string {
		prefix, err := client.Prefix(bits)
		if err != nil {
			return "unknown"
		}
		return prefix.String()
	}
	if client.Is4() {
		return LoginAttempt{Source: client.String(), Network: part(networkBits4), Login: login}
	}
	return LoginAttempt{Source: part(sourceBits6), Network: part(networkBits6), Login: login}
}

// LoginKeys name what attempts are counted by, without saying it. Account is of a
// login from anywhere, Inside of one from its network.
type LoginKeys struct {
	Source, Network, Inside, Account [sha256.Size]byte
}

// Keys gives the names that the attempt is counted under.
func (a LoginAttempt) Keys() LoginKeys {
	key := func(kind, text string) [sha256.Size]byte { return sha256.Sum256([]byte(kind + " " + text)) }
	return LoginKeys{
		Source: key("source", a.Source), Network: key("network", a.Network),
		Inside: key("inside", a.Network+" "+a.Login), Account: key("account", a.Login),
	}
}

// LoginLimit is a bucket: it holds so many attempts, and so many run out of it in
// a second.
type LoginLimit struct {
	Capacity float64
	Drain    float64
}

// LoginLimits are those of a source, of a network, and of the attempts on an
// account.
type LoginLimits struct {
	Source, Network, Account LoginLimit
}

// LoginStanding is what is known of who tries to log in, the attempt included.
type LoginStanding struct {
	SourceFull, NetworkFull bool // no more attempts from there
	Known                   bool // somebody has logged in from the network before
	// Failures is how many attempts on the account count: those from its network,
	// where that is known, and those from all that are not.
	Failures float64
}
