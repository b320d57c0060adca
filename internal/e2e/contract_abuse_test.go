package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// logins: guessing passwords holds nobody up, and tells nothing (promise 22).
func (s *site) logins(t *testing.T) {
	guessing, leave := context.WithCancel(t.Context())
	var guesses sync.WaitGroup
	for i := range 50 {
		body := url.Values{"username": {[]string{"viewer", "nobody"}[i%2]}, "password": {fmt.Sprintf("guess %d", i)}}.Encode()
		request := s.viewer.as("").request(t, http.MethodPost, "/token", formType, body).WithContext(guessing)
		guesses.Go(func() {
			got, err := s.viewer.try(request)
			switch {
			case guessing.Err() != nil: // It has left, unanswered.
			case err != nil || got.Status != http.StatusUnauthorized && got.Status != http.StatusServiceUnavailable:
				t.Errorf("a guess: %d %s, %v", got.Status, got.Body, err)
			case got.Status == http.StatusServiceUnavailable && got.Header.Get("Retry-After") == "":
				t.Errorf("a guess that is not let in is not told when to come again: %s", got.Body)
			}
		})
	}
	for range 100 {
		s.viewer.get(t, "/api/pools/status").want(t, http.StatusOK)
	}
	leave()
	guesses.Wait()
	s.alike(t)
}

// alike: a user that there is not takes as long as one that there is, and is
// answered the same.
func (s *site) alike(t *testing.T) {
	t.Helper()
	fastest := map[string]time.Duration{}
	bodies := map[string]bool{}
	for round := 0; round < 30 && (round < 2 || fastest["viewer"] > 2*fastest["nobody"] || fastest["nobody"] > 2*fastest["viewer"]); round++ {
		for _, login := range []string{"viewer", "nobody"} {
			got := s.viewer.as("").send(t, http.MethodPost, "/token", formType, url.Values{"username": {login}, "password": {fmt.Sprint("guess", round)}}.Encode())
			got.want(t, http.StatusUnauthorized)
			bodies[string(got.Body)] = true
			if best, ok := fastest[login]; !ok || got.Took < best {
				fastest[login] = got.Took
			}
		}
	}
	if a, b := fastest["viewer"], fastest["nobody"]; len(bodies) != 1 || a > 2*b || b > 2*a {
		t.Errorf("a wrong password takes %s, no such user %s; they are told %v", a, b, bodies)
	}
}

// rationed: a process with a rate of logins refuses more of them.
func (s *site) rationed(t *testing.T) {
	p := s.start(t, "pgam-api", append(unset(s.apiSettings(), "PGAM_LOGIN_RATE="), "PGAM_LOGIN_RATE=3")...)
	c := newClient(t, p.url(), s.seen)
	good := url.Values{"username": {"viewer"}, "password": {userPassword}}.Encode()
	statuses := map[int]int{}
	for i := range 8 {
		path := []string{"/token", "/api/token"}[i%2]
		request := c.request(t, http.MethodPost, path, formType, good)
		request.Header.Set("X-Forwarded-For", fmt.Sprintf("10.0.0.%d", i)) // Nobody's word for it.
		got := c.do(t, request)
		statuses[got.Status]++
		if got.Status == http.StatusTooManyRequests {
			if got.detail(t) == "" || got.Header.Get("Retry-After") == "" {
				t.Errorf("too many logins: %v %s", got.Header, got.Body)
			}
		}
	}
	if statuses[http.StatusOK] < 1 || statuses[http.StatusOK] > 4 || statuses[http.StatusTooManyRequests] != 8-statuses[http.StatusOK] {
		t.Errorf("of eight logins, three a minute allowed: %v", statuses)
	}
	c.as(s.viewer.token).get(t, "/servers").want(t, http.StatusOK) // Who is in stays in.
	p.stop(t)
}

// unset is settings that lack one.
func unset(settings []string, prefix string) []string {
	return slices.DeleteFunc(slices.Clone(settings), func(setting string) bool { return strings.HasPrefix(setting, prefix) })
}

// nonsense: whatever is sent, nothing breaks (promise 23).
func (s *site) nonsense(t *testing.T) {
	const requests, workers = 2000, 4
	s.slowClients(t, 100)
	var sending sync.WaitGroup
	for worker := range workers {
		random := rand.New(rand.NewPCG(2026, uint64(worker)))
		sending.Go(func() {
			for i := range requests / workers {
				raw := s.garble(random)
				status, err := exchange(s.api.address, raw)
				if err != nil {
					t.Errorf("request %d of %d: %v\n%q", i, worker, err, raw)
				}
				if status >= 500 && status != http.StatusHTTPVersionNotSupported {
					t.Errorf("request %d of %d: status %d\n%q", i, worker, status, raw)
				}
			}
		})
	}
	sending.Wait()
	for range 20 {
		s.viewer.get(t, "/server_stats/t1").want(t, http.StatusOK)
	}
	if log := s.api.logged(); strings.Contains(log, "panicked") {
		t.Errorf("a request panicked:\n%s", log)
	}
	if names := s.operator.get(t, "/servers").rows(t); len(names) != 1 || names["t1"] == nil {
		t.Errorf("servers after nonsense: %v", names)
	}
}

// slowClients begin a request and do not go on.
func (s *site) slowClients(t *testing.T, count int) {
	t.Helper()
	for i := range count {
		conn, err := net.Dial("tcp", s.api.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		begun := []string{"GET /servers HT", "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: " + formType + "\r\nContent-Length: 100\r\n\r\nusername=", ""}[i%3]
		if _, err := io.WriteString(conn, begun); err != nil {
			t.Fatal(err)
		}
	}
}

// garble makes a request that is wrong in several ways. It asks about t1, which
// is well, and changes only servers that there are not.
func (s *site) garble(random *rand.Rand) string {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	noise := func() string {
		text := make([]byte, random.IntN(40))
		for i := range text {
			text[i] = byte(random.UintN(256))
		}

		return string(text)
	}
	stranger := func() string {
		return pick("", "nobody", "..", "%2e%2e", "%00", "%ff%fe", "%2F", "a%20b", "%", "%zz", "größe", "%f0%9f%90%98", strings.Repeat("x", 300), url.PathEscape(noise()))
	}
	part := func() string { return pick("t1", stranger()) }
	value := func() string {
		return pick("", "null", "0", "-1", "1e999", "99999999999999999999", `"\u0000"`, `"\ud800"`, `""`, "[]", "{}", "true", `"x"`, "[[[[[[", `{"a":`, strings.Repeat("[", 2000), fmt.Sprintf("%q", noise()))
	}
	prefix := pick("", "/api", "/api", "/api/v1", "/api/api", "//")
	path := prefix + pick(
		"/servers", "/servers/"+stranger(), "/server_stats/"+part(), "/server/"+part()+"/stats", "/server/"+part()+"/db/"+part(),
		"/server/"+part()+"/db/"+part()+"/stats", "/token", "/pools/status", "/health", "/"+part(), "/servers/"+part()+"/"+pick("test", "activity", "history/at", "disks")+stranger())
	if random.IntN(3) == 0 {
		path += "?" + pick("start_date", "end_date", "from", "to", "at", "step", "purge", "limit", "cursor", url.QueryEscape(noise())) + "=" +
			pick("", "x", "2026-13-45", "9999-12-31", "0001-01-01T00:00:00Z", "2026-11-22T00:00:00+99:99", "-1", "%00", "%zz", "now()", "1e9", url.QueryEscape(noise()))
	}
	fields := make([]string, 0, 9)
	for _, field := range []string{"name", "host", "port", "user", "password", "stats_db", "ssh_user", "ssh_password", "ssh_port"} {
		fields = append(fields, fmt.Sprintf("%q:%s", field, value()))
	}
	random.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	body := pick("", value(), noise(), "{"+strings.Join(fields[:random.IntN(9)], ",")+"}", "username=%zz&password=%", "username="+noise()+"&password="+noise())
	authorization := pick("Bearer "+s.operator.token, "Bearer "+s.operator.token, "Bearer "+s.operator.token, "Bearer "+s.viewer.token, "", "Bearer", "Bearer a.b.c", "Basic eA==", "Bearer "+s.viewer.token+"x")
	length := fmt.Sprint(len(body))
	if random.IntN(20) == 0 {
		length = pick("-1", "x", "0", "99999999999999999999")
	}

	return pick("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW", "get") + " " + path + " " + pick("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "x") +
		"\r\nHost: " + pick("x", "x", "x", "", "a b") + "\r\nConnection: close\r\nAuthorization: " + authorization +
		"\r\nContent-Type: " + pick("application/json", "application/json", formType, "multipart/form-data", "multipart/form-data; boundary=", "x", "", "text/\xff") +
		"\r\n" + pick("", "", "", "Origin: "+uiOrigin+"\r\n", "Accept: text/html\r\n", "Accept-Encoding: gzip\r\n", "If-None-Match: x\r\n", "X: "+strings.Repeat("y", 40_000)+"\r\n", "Transfer-Encoding: chunked\r\n") +
		"Content-Length: " + length + "\r\n\r\n" + body
}

// exchange sends bytes and reads the status of what comes back; 0 is nothing.
func exchange(address, raw string) (int, error) {
	conn, err := net.DialTimeout("tcp", address, answerWithin)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(conn, raw); err != nil {
		return 0, nil // It has hung up on us already.
	}
	if half, ok := conn.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // As it comes from the connection.
			return 0, err
		}

		return 0, nil // It has hung up on us.
	}
	_, err = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	if err != nil {
		return response.StatusCode, nil // The answer was cut, as by what was sent.
	}

	return response.StatusCode, nil
}
