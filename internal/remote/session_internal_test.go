package remote

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/iotest"
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

// Only SASL is told of, after notices too, and however the bytes come.
func TestSASLIsSeenInTheStream(t *testing.T) {
	t.Parallel()
	message := func(kind byte, body string) string {
		return string(kind) + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))) + body //nolint:gosec // short
	}
	method := func(n uint32, rest string) string {
		return message('R', string(binary.BigEndian.AppendUint32(nil, n))+rest)
	}
	sasl, md5, ok := method(10, "SCRAM-SHA-256\x00\x00"), method(5, "salt"), method(0, "")
	for name, tt := range map[string]struct {
		stream string
		want   int
	}{
		"SASL": {sasl + ok, 1}, "after a notice": {message('N', "SNOTICE\x00\x00") + sasl, 1}, "once": {sasl + sasl, 1},
		"MD5": {md5 + ok, 0}, "trust": {ok, 0}, "MD5, then SASL in data": {md5 + sasl, 0}, "an error": {message('E', "SFATAL\x00\x00"), 0},
		"no length": {"R\x00\x00\x00\x01" + sasl, 0}, "nothing": {"", 0}, "no protocol": {strings.Repeat("\xff", 100) + sasl, 0},
	} {
		for how, r := range map[string]io.Reader{"whole": strings.NewReader(tt.stream), "by bytes": iotest.OneByteReader(strings.NewReader(tt.stream))} {
			asked := 0
			read, err := io.ReadAll(&saslWatch{Reader: r, asked: func() { asked++ }})
			if err != nil || string(read) != tt.stream || asked != tt.want {
				t.Errorf("%s, %s: asked %d times, want %d (%v)", name, how, asked, tt.want, err)
			}
		}
	}
}
