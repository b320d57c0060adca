package remote

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgam/pgam/internal/target"
)

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int32{
		"15.20 (Debian 15.20-0+deb12u1)": 150020, "9.6.24": 90624, "10.0": 100000, "18beta1": 180000, "17devel": 170000, "9.5": 90500,
		"": 0, "x": 0, "9.6.24.1": 90624, "99999.1": 0, "12.345": 0, "-1": 0,
	} {
		if got := parseVersion(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, seed := range []string{"15.20 (Debian)", "9.6.24", "18beta1", "..", "9.."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if v := parseVersion(text); v < 0 {
			t.Errorf("%q: %d", text, v)
		}
	})
}

// Requests for authentication are seen after notices too, and however the bytes
// come; only SASL has the prepared password used.
func TestRequestsAreSeenInTheStream(t *testing.T) {
	t.Parallel()
	message := func(kind byte, body string) string {
		return string(kind) + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))) + body
	}
	method := func(n uint32, rest string) string {
		return message('R', string(binary.BigEndian.AppendUint32(nil, n))+rest)
	}
	sasl, md5, ok := method(10, "SCRAM-SHA-256\x00\x00"), method(5, "salt"), method(0, "")
	for name, tt := range map[string]struct {
		stream  string
		asked   bool
		refused bool
	}{
		"SASL": {sasl + ok, true, false}, "after a notice": {message('N', "SNOTICE\x00\x00") + sasl, true, false},
		"MD5": {md5 + ok, false, true}, "trust": {ok, false, false}, "MD5, then SASL": {md5 + sasl, false, true},
		"an error": {message('E', "SFATAL\x00\x00"), false, false}, "no length": {"R\x00\x00\x00\x01" + sasl, false, true},
		"nothing": {"", false, false}, "no protocol": {strings.Repeat("\xff", 100) + sasl, false, true},
		"after the start": {ok + message('Z', "I") + sasl, false, true},
	} {
		for how, r := range map[string]io.Reader{"whole": strings.NewReader(tt.stream), "by bytes": iotest.OneByteReader(strings.NewReader(tt.stream))} {
			near, far := net.Pipe()
			_ = far.Close()
			c := NewGuard(1).guard(t.Context(), near, target.Target{}, Limits{Connect: time.Hour})
			c.cfg, c.prepared = &pgconn.Config{Password: "raw"}, "prepared"
			read, err := io.ReadAll(&front{r: r, c: c})
			_ = c.Close()
			if asked := c.cfg.Password == "prepared"; (err != nil) != tt.refused || !tt.refused && string(read) != tt.stream || asked != tt.asked {
				t.Errorf("%s, %s: asked is %v, want %v; %v", name, how, asked, tt.asked, err)
			}
		}
	}
}
