package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pgam/pgam/internal/pgtest"
	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/sshtest"
)

// terminal opens a pair of which one end is a terminal and the other the person
// at it.
func terminal(t *testing.T) (person, screen *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	screen, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	t.Cleanup(func() { _ = screen.Close() })

	return person, screen
}

// typist answers each question with the next line.
type typist struct {
	person *os.File
	lines  []string
	asked  bytes.Buffer
}

// Write takes what is asked, and types.
func (y *typist) Write(text []byte) (int, error) {
	if strings.HasSuffix(string(text), ": ") {
		if _, err := y.person.WriteString(y.lines[0] + "\n"); err != nil {
			return 0, err
		}
		y.lines = y.lines[1:]
	}

	return y.asked.Write(text)
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	person, screen := terminal(t)
	if !isTerminal(screen) {
		t.Fatal("a terminal is not seen as one")
	}
	y := &typist{person: person, lines: []string{"pass wörd", "pass wörd", "one", "another"}}
	desk := &tool{in: screen, errOut: y}
	got, err := (&passwordSource{}).read(t.Context(), desk)
	if err != nil || got.Reveal() != "pass wörd" {
		t.Errorf("the password is %q, %v", got.Reveal(), err)
	}
	if _, err := (&passwordSource{}).read(t.Context(), desk); err == nil || !strings.Contains(err.Error(), "differ") {
		t.Errorf("two different passwords give %v", err)
	}
	state, err := unix.IoctlGetTermios(int(screen.Fd()), getTermios)
	if err != nil || state.Lflag&unix.ECHO == 0 {
		t.Errorf("the terminal does not echo any more, %v", err)
	}
	// What the person saw: only what is written now, nothing that was typed.
	if _, err := screen.WriteString("end\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(person).ReadString('\n'); err != nil || line != "end\r\n" {
		t.Errorf("the terminal shows %q, %v", line, err)
	}
}

// Who sits at the terminal is asked about a host's key, and for the secrets that
// a change needs.
func TestAskAboutServers(t *testing.T) {
	t.Parallel()
	person, screen := terminal(t)
	d := deskOn(t, pgtest.StatsDB(t))
	host := sshtest.InProcess(t)
	at := func(lines []string, args ...string) (int, string) {
		t.Helper()
		y := &typist{person: person, lines: lines}
		code := run(t.Context(), &tool{environ: d.environ, in: screen, out: io.Discard, errOut: y}, args)
		if len(y.lines) != 0 {
			t.Errorf("pgam %s does not ask for %q: %s", strings.Join(args, " "), y.lines, y.asked.String())
		}

		return code, y.asked.String()
	}
	add := []string{"server", "add", "a", "--host", "127.0.0.1", "--port", "1", "--user", "mon", "--disk-source", "none"}
	shell := []string{"--ssh-host", host.Host, "--ssh-port", strconv.Itoa(host.Port), "--ssh-user", host.User}
	if code, said := at([]string{"pw1", "pw2"}, append(add, shell...)...); code != 0 || strings.Contains(said, "pw1") || strings.Contains(said, "pw2") {
		t.Errorf("adding gives %d: %s", code, said)
	}
	if code, said := at([]string{"no"}, "server", "pin", "a"); code != 1 || !strings.Contains(said, "nothing was pinned") {
		t.Errorf("no gives %d: %s", code, said)
	}
	if code, said := at([]string{"yes"}, "server", "pin", "a"); code != 0 || !strings.Contains(said, "pinned the host key") {
		t.Errorf("yes gives %d: %s", code, said)
	}
	for _, test := range []struct{ lines, args []string }{
		{nil, []string{"--disk-source", "auto"}},
		{[]string{"pw"}, []string{"--port", "2"}},
		{[]string{"pw"}, []string{"--ask-password"}},
		{[]string{"pw"}, []string{"--ask-ssh-password"}},
		{[]string{"pw"}, []string{"--tunnel"}},
		{[]string{"pw", "pw"}, []string{"--ssh-user", "other", "--ssh-host", "127.0.0.2"}},
		{nil, []string{"--dsn", "postgres://mon:pw@127.0.0.1:3"}},
	} {
		if code, said := at(test.lines, append([]string{"server", "set", "a"}, test.args...)...); code != 0 {
			t.Errorf("set %v gives %d: %s", test.args, code, said)
		}
	}
	private, _ := sshtest.NewKey(t, "ed25519", "open sesame")
	if code, said := at([]string{"open sesame"}, "ssh-key", "import", "fleet", written(t, private)); code != 0 {
		t.Errorf("importing gives %d: %s", code, said)
	}
}

// Who sits at the terminal is asked where stats_db is.
func TestSetup_Asks(t *testing.T) {
	t.Parallel()
	person, screen := terminal(t)
	server := pgtest.Target(t)
	server.Exec(t, "create role pgam_read nologin", "create database stats_db owner "+pgtest.User)
	dir := filepath.Join(t.TempDir(), "pgam")
	y := &typist{person: person, lines: []string{"", strconv.Itoa(server.Port()), "", "", pgtest.Password}}
	var out bytes.Buffer
	code := run(t.Context(), &tool{in: screen, out: &out, errOut: y}, []string{"setup", "--config-dir", dir})
	if code != 0 || len(y.lines) != 0 || strings.Contains(y.asked.String(), pgtest.Password) {
		t.Fatalf("it gives %d, with %q left: %s", code, y.lines, y.asked.String())
	}
	checkLogin(t, secret.New(server.DatabaseDSN(pgtest.User, "stats_db")), "admin", strings.TrimSpace(out.String()))
}
