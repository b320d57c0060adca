// Package sshtest owns SSH servers for tests: OpenSSH's own (Start) and one
// inside the test binary (InProcess).
//
// Both listen on loopback at a free port, admit one user, run what they are
// told with the real /bin/sh, forward TCP and Unix sockets, and end with the
// test. Login.Shell gives what a target needs to reach one:
//
//	server := sshtest.Start(t)
//	watched.Shell = server.Shell()
//
// OpenSSH runs from a temporary folder with its own configuration and host
// keys. It admits the user that runs the tests by key; by password too where
// WithPassword is given and the kernel lets a test put account files of its own
// before the machine's, for sshd alone; elsewhere such a test is skipped. A
// missing sshd is a skip too, but a failure where CI=true.
package sshtest
