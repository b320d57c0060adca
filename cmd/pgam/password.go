package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/secret"
)

// passwordSource is where a command takes a password from.
type passwordSource struct {
	file     string
	generate bool
}

func (p *passwordSource) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "password-file", "", "read the password from the one line of this `file`; - is standard input")
}

func (p *passwordSource) generateFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.generate, "generate", false, "make a random password and print it, this once")
	cmd.MarkFlagsMutuallyExclusive("password-file", "generate")
}

// read returns the password from the file, or a new one, or asks for it twice.
func (p *passwordSource) read(ctx context.Context, t *tool) (secret.Value, error) {
	switch {
	case p.generate:
		return secret.New(strings.ToLower(rand.Text())), nil
	case p.file != "":
		return t.passwordFromFile(p.file)
	case !isTerminal(t.in):
		return secret.Value{}, misconfigured{errors.New("no terminal to ask for the password: give --password-file FILE (- is standard input) or --generate")}
	}
	first, err := t.prompt(ctx, "Password: ")
	if err != nil {
		return secret.Value{}, err
	}
	second, err := t.prompt(ctx, "Once more: ")
	if err != nil {
		return secret.Value{}, err
	}
	if !first.Equal(second) {
		return secret.Value{}, errors.New("the two passwords differ: nothing was changed")
	}

	return first, nil
}

func (t *tool) passwordFromFile(path string) (secret.Value, error) {
	lines, err := t.readLines(path)
	if err != nil {
		return secret.Value{}, err
	}
	if len(lines) != 1 {
		return secret.Value{}, misconfigured{fmt.Errorf("read %s: %d lines: it must hold the password in one line and nothing else", path, len(lines))}
	}

	return secret.New(lines[0]), nil
}

// prompt asks at the terminal, without showing what is typed.
func (t *tool) prompt(ctx context.Context, question string) (secret.Value, error) {
	restore, err := hideInput(t.in)
	if err != nil {
		return secret.Value{}, fmt.Errorf("ask for the password: %w", err)
	}
	defer restore()
	defer func() { _, _ = fmt.Fprintln(t.errOut) }()
	line, err := t.ask(ctx, question)

	return secret.New(line), err
}

// ask asks for a line.
func (t *tool) ask(ctx context.Context, question string) (string, error) {
	_, _ = fmt.Fprint(t.errOut, question)
	type answer struct {
		line string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		line, err := readLine(t.in)
		answered <- answer{line, err}
	}()
	select {
	case a := <-answered:
		if a.err != nil {
			return "", fmt.Errorf("ask at the terminal: %w", a.err)
		}

		return a.line, nil
	case <-ctx.Done():
		return "", errors.New("interrupted: nothing was changed")
	}
}

// readLine reads one line and nothing after it: a terminal gives a line a read.
func readLine(in *os.File) (string, error) {
	line, err := bufio.NewReaderSize(in, 4<<10).ReadString('\n')
	if err != nil {
		return "", err
	}

	return strings.TrimRight(line, "\r\n"), nil
}
