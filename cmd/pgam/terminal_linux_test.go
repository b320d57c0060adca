package main

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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
