package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"strconv"
	"strings"

	"github.com/pgam/pgam/internal/remote"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

// Parts of the script. It is plain POSIX sh and all of it is read before any of
// it is run. A df that hangs, as on a dead NFS server, is killed where the host
// has timeout(1), so that the other paths are answered and nothing is left
// behind; after the first the others get less time.
const (
	scriptHead = `LC_ALL=C
LANGUAGE=C
export LC_ALL LANGUAGE
PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export PATH
pgam_df() {
	$pgam_run df "$@" 2>/dev/null </dev/null
}
pgam_look() {
	printf '\n%s look %s\n' "$pgam_word" "$1"
	pgam_out=$(pgam_df -P -B1 -- "$2")
	pgam_status=$?
	if [ "$pgam_status" -gt 0 ] && [ "$pgam_status" -lt 124 ]; then
		pgam_out=$(pgam_df -P -k -- "$2")
		pgam_status=$?
	fi
	if [ "$pgam_status" -eq 0 ]; then
		printf '%s bytes\n%s\n' "$pgam_word" "$pgam_out"
		pgam_out=$(pgam_df -P -i -- "$2") || pgam_out=
		printf '%s inodes\n%s\n' "$pgam_word" "$pgam_out"
	elif [ "$pgam_status" -eq 124 ] || [ "$pgam_status" -gt 127 ]; then
		printf '%s slow\n' "$pgam_word"
		[ "$pgam_run" = command ] || pgam_run='command timeout -s KILL 1'
	else
		pgam_out=$({ $pgam_run df -P -- "$2"; $pgam_run ls -d -- "$2/."; } 2>&1 >/dev/null </dev/null)
		printf '%s error\n%s\n' "$pgam_word" "$pgam_out"
	fi
	printf '%s done\n' "$pgam_word"
}
pgam_main() {
	pgam_run=command
	if command -v timeout >/dev/null 2>&1 && command timeout -s KILL 1 true >/dev/null 2>&1 </dev/null; then
		pgam_run="command timeout -s KILL $pgam_patience"
	fi
`
	// The processors that are online, of the host: no quota of a container or a unit
	// is told.
	scriptCPUs = `	pgam_out=$({ getconf _NPROCESSORS_ONLN || nproc; } 2>/dev/null </dev/null)
	printf '\n%s cpus %s\n' "$pgam_word" "$pgam_out"
`
	scriptTail = `	printf '%s end\n' "$pgam_word"
}
pgam_main
exit 0
`
)

// patience is how many seconds one df may take on a host: less than Run has.
const patience = 2

// overSSH looks at paths on a server's host, and counts its processors. What was
// seen before an error is in looks.
func (r *DiskReader) overSSH(ctx context.Context, t target.Target, paths []string, looks map[string]look) (cpus int32, err error) {
	word := "pgam-" + rand.Text()
	out, err := r.shells.Run(ctx, t, script(word, paths))
	cpus, complete := read(word, out, paths, looks)
	switch {
	case complete:
		return cpus, nil
	case err != nil:
		return cpus, err
	}
	return cpus, &remote.ShellError{Server: t.Name, Step: "run script", Said: remote.Said(string(out)), Err: remote.ErrAnswer}
}

// script gives what is run on a host, with a word that frames the answer.
func script(word string, paths []string) string {
	var b strings.Builder
	b.WriteString("pgam_word=" + quote(word) + "\npgam_patience=" + strconv.Itoa(patience) + "\n")
	b.WriteString(scriptHead)
	for i, path := range paths {
		b.WriteString("\tpgam_look " + strconv.Itoa(i) + " " + quote(path) + "\n")
	}
	b.WriteString(scriptCPUs + scriptTail)
	return b.String()
}

// quote makes one word of a POSIX shell of any text without NUL: between single
// quotes nothing has a meaning but the next one.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// read takes apart what the script printed, and reports whether it came to its
// end. Whatever else is in there is skipped. Processors that are not told, or
// cannot be so many, are 0.
func read(word string, out []byte, paths []string, looks map[string]look) (cpus int32, complete bool) {
	current, part := -1, ""
	parts := map[string][]string{}
	for line := range bytes.SplitSeq(out, []byte("\n")) {
		text := strings.TrimSuffix(string(line), "\r")
		frame, ok := strings.CutPrefix(text, word+" ")
		switch {
		case !ok:
			if current >= 0 && part != "" {
				parts[part] = append(parts[part], text)
			}
		case frame == "end":
			complete = true
		case frame == "done":
			if current >= 0 {
				looks[paths[current]] = seen(paths[current], parts)
			}
			current, part = -1, ""
		case strings.HasPrefix(frame, "cpus "):
			if n, err := strconv.ParseInt(strings.TrimPrefix(frame, "cpus "), 10, 32); err == nil && n > 0 && n <= target.MaxCPUs {
				cpus = int32(n)
			}
		case strings.HasPrefix(frame, "look "):
			current, part = -1, ""
			clear(parts)
			if i, err := strconv.Atoi(strings.TrimPrefix(frame, "look ")); err == nil && i >= 0 && i < len(paths) {
				current = i
			}
		default:
			part = frame
			parts[part] = []string{}
		}
	}
	return cpus, complete
}

// seen makes a look of what df printed.
func seen(path string, parts map[string][]string) look {
	if lines, ok := parts["bytes"]; ok {
		fs, ok := parseSpace(lines, path)
		if !ok {
			return look{reason: sample.Malformed}
		}
		fs.Inodes, fs.InodesFree = parseInodes(parts["inodes"], path)
		return look{fs: fs}
	}
	if _, ok := parts["slow"]; ok {
		return look{reason: sample.Timeout}
	}
	words := strings.Join(parts["error"], " ")
	failed := look{reason: sample.Other, detail: remote.Said(words)}
	switch text := strings.ToLower(words); {
	case strings.Contains(text, "permission denied"), strings.Contains(text, "operation not permitted"):
		failed.reason = sample.NoPrivilege
	case strings.Contains(text, "no such file or directory"), strings.Contains(text, "not a directory"), strings.Contains(text, "does not exist"):
		failed.reason = sample.NotFound
	}
	return failed
}
