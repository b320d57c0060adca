package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal tells whether a person sits at the file.
func isTerminal(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), getTermios)

	return err == nil
}

// hideInput keeps a terminal from showing what is typed, until restore.
func hideInput(file *os.File) (restore func(), err error) {
	descriptor := int(file.Fd())
	before, err := unix.IoctlGetTermios(descriptor, getTermios)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(descriptor, setTermios, &hidden); err != nil {
		return nil, err
	}

	return func() { _ = unix.IoctlSetTermios(descriptor, setTermios, before) }, nil
}
