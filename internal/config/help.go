package config

import (
	"fmt"
	"slices"
	"strings"
)

// Help lists the settings that a program ("collector", "api" or "pgam") reads,
// for its --help.
func Help(program string) string {
	var out strings.Builder
	for _, s := range Describe() {
		if !slices.Contains(s.Programs, program) {
			continue
		}
		preset := ""
		switch {
		case s.Required:
			preset = " (required)"
		case s.Default != "":
			preset = " (default " + s.Default + ")"
		}
		fmt.Fprintf(&out, "  %s%s\n      %s", s.Name, preset, s.Description)
		if s.Limits != "" {
			fmt.Fprintf(&out, " Values: %s.", s.Limits)
		}
		out.WriteString("\n")
	}
	return out.String()
}
