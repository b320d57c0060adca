//go:build !linux

package probe

import "github.com/pgam/pgam/internal/sample"

// stat knows no way to look at the file systems of this kind of machine.
func stat(string) look { return look{reason: sample.Unsupported} }
