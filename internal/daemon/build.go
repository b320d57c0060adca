package daemon

import (
	"runtime"
	"runtime/debug"
)

// version is set by the linker: -ldflags "-X github.com/pgam/pgam/internal/daemon.version=v1.2.3".
var version string

// BuildInfo says what was built, and from what.
type BuildInfo struct {
	Version   string // the release, or "devel"
	Revision  string // the commit, with "+dirty" after it where files were changed; "unknown" without one
	GoVersion string
}

// Build describes the running binary.
func Build() BuildInfo {
	out := BuildInfo{Version: version, Revision: "unknown", GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if out.Version == "" {
		out.Version = info.Main.Version
	}
	if out.Version == "" || out.Version == "(devel)" {
		out.Version = "devel"
	}
	dirty := ""
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			out.Revision = setting.Value
		case "vcs.modified":
			if setting.Value == "true" {
				dirty = "+dirty"
			}
		}
	}
	out.Revision += dirty
	return out
}
