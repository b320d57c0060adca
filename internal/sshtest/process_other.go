//go:build unix && !linux

package sshtest

import "syscall"

func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// inNamespace cannot hide anything.
func inNamespace(*syscall.SysProcAttr) {}

// descendants cannot tell who made whom: sessions live on until their clients
// go.
func descendants(int) []int { return nil }
