package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pgam/pgam/internal/config"
	"github.com/pgam/pgam/internal/daemon"
)

func (t *tool) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man FOLDER",
		Short: "Write the manual pages of all programs into a folder",
		Long: `Writes the manual pages into a folder that is there: pgam(1) and one for each of
its commands, pgam-collector(8) and pgam-api(8). They are made from the same texts
as --help.`,
		Example: "  pgam man /usr/local/share/man/man1",
		Args:    one("FOLDER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			pages := manual(cmd.Root())
			for _, name := range sortedNames(pages) {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(pages[name]), 0o644); err != nil { //nolint:gosec // Everybody may read a manual.
					return fmt.Errorf("write manual: %w", err)
				}
			}

			return nil
		},
	}
}

func sortedNames(pages map[string]string) []string {
	names := make([]string, 0, len(pages))
	for name := range pages {
		names = append(names, name)
	}
	slices.Sort(names)

	return names
}

// manual returns the pages by the names of their files.
func manual(root *cobra.Command) map[string]string {
	pages := map[string]string{"pgam.1": overview(root)}
	for _, command := range visible(root) {
		pages["pgam-"+command.Name()+".1"] = commandPage(command)
	}
	for program, what := range map[string]string{
		"collector": "sample PostgreSQL servers into stats_db",
		"api":       "answer questions about PostgreSQL servers over HTTP",
	} {
		pages["pgam-"+program+".8"] = daemonPage(program, what)
	}

	return pages
}

// visible lists the commands that have a page: cobra's own help has none.
func visible(command *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(command.Commands()), func(c *cobra.Command) bool {
		return c.Name() == "help" || !c.IsAvailableCommand()
	})
}

func overview(root *cobra.Command) string {
	var p page
	about, _, _ := strings.Cut(root.Long, "\n\n")
	p.head("pgam", "1", "the operator's tool of the PostgreSQL Activity Monitor")
	p.section("SYNOPSIS")
	p.raw(".B pgam\n.I command\n.RI [ argument ...]\n.RI [ option ...]\n")
	p.section("DESCRIPTION")
	p.text(about)
	p.section("COMMANDS")
	for _, command := range visible(root) {
		p.raw(".TP\n.BR pgam\\-" + roff(command.Name()) + " (1)\n")
		p.text(command.Short + ".")
	}
	p.section("ENVIRONMENT")
	p.settings("pgam")
	p.section("FILES")
	p.item("/etc/pgam/stats.dsn", "Where stats_db is, as pgam setup left it. It is read where no variable says it.")
	p.item("/etc/pgam/keyring.json", "The keyring that seals stored passwords. Keep a copy apart from the backups of stats_db.")
	p.section("EXIT STATUS")
	p.item("0", "It is done.")
	p.item("1", "It did not work.")
	p.item("2", "The command line or a setting is wrong.")
	p.section("SEE ALSO")
	p.raw(".BR pgam\\-collector (8),\n.BR pgam\\-api (8)\n")

	return p.String()
}

func commandPage(command *cobra.Command) string {
	var p page
	p.head("pgam-"+command.Name(), "1", strings.ToLower(command.Short[:1])+command.Short[1:])
	p.section("SYNOPSIS")
	children := visible(command)
	if len(children) == 0 {
		children = []*cobra.Command{command}
	}
	for i, c := range children {
		if i > 0 {
			p.raw(".br\n")
		}
		p.raw(".B " + roff(c.UseLine()) + "\n")
	}
	p.section("DESCRIPTION")
	p.text(describe(command))
	if children[0] != command {
		p.section("COMMANDS")
		for _, c := range children {
			p.raw(".SS " + roff(c.CommandPath()) + "\n")
			p.text(describe(c))
			p.flags(c.LocalNonPersistentFlags())
			p.example(c.Example)
		}
	}
	options := command.NonInheritedFlags()
	if options.HasAvailableFlags() {
		p.section("OPTIONS")
		p.flags(options)
	}
	if command.Example != "" {
		p.section("EXAMPLES")
		p.example(command.Example)
	}
	p.section("SEE ALSO")
	p.raw(".BR pgam (1)\n")

	return p.String()
}

func describe(command *cobra.Command) string {
	if command.Long != "" {
		return command.Long
	}

	return command.Short + "."
}

func daemonPage(program, what string) string {
	var p page
	name := "pgam-" + program
	p.head(name, "8", what)
	p.section("SYNOPSIS")
	p.raw(".B " + roff(name) + "\n.br\n.B " + roff(name+" --help") + "\n.br\n.B " + roff(name+" --version") + "\n")
	p.section("DESCRIPTION")
	p.text("Takes no arguments: its settings are environment variables, or lines of the file that PGAM_ENV_FILE names. " +
		"A secret may also be read from the file that the variable with _FILE appended names, or come as the systemd credential of that name in lower case.")
	p.section("ENVIRONMENT")
	p.settings(program)
	p.section("SIGNALS")
	p.item("SIGTERM, SIGINT", "Stop cleanly, within PGAM_SHUTDOWN_TIMEOUT. A second one ends the process at once.")
	p.item("SIGHUP", "Read the settings again, take over the log level, and log which other changes wait for a restart.")
	p.section("EXIT STATUS")
	p.item("0", "It was asked to stop, and stopped.")
	p.item("1", "Something that it needs is away; a later start may find it.")
	p.item("2", "A setting or the schema of stats_db is wrong; the log says what to do.")
	p.section("FILES")
	p.item("/etc/pgam/"+program+".env", "The settings of the installed unit, each explained.")
	p.section("SEE ALSO")
	p.raw(".BR pgam (1),\n.BR pgam\\-setup (1)\n")

	return p.String()
}

// page is a manual page under way.
type page struct{ strings.Builder }

func (p *page) raw(text string) { _, _ = p.WriteString(text) }

func (p *page) head(name, section, what string) {
	fmt.Fprintf(p, ".TH \"%s\" \"%s\" \"\" \"pgam %s\" \"PostgreSQL Activity Monitor\"\n", strings.ToUpper(roff(name)), section, roff(daemon.Build().Version))
	p.section("NAME")
	p.raw(roff(name) + " \\- " + roff(what) + "\n")
}

func (p *page) section(name string) { p.raw(".SH " + name + "\n") }

// text sets paragraphs; lines that are indented stay as they are.
func (p *page) text(text string) {
	for i, block := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			p.raw(".PP\n")
		}
		if strings.HasPrefix(block, " ") || strings.HasPrefix(block, "\t") {
			p.example(block)
		} else {
			p.raw(roff(block) + "\n")
		}
	}
}

func (p *page) example(text string) {
	if text != "" {
		p.raw(".PP\n.nf\n" + roff(strings.Trim(text, "\n")) + "\n.fi\n")
	}
}

func (p *page) item(name, text string) { p.raw(".TP\n.B " + roff(name) + "\n" + roff(text) + "\n") }

func (p *page) flags(flags *pflag.FlagSet) {
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(flag)
		name := "--" + flag.Name
		if flag.Shorthand != "" {
			name = "-" + flag.Shorthand + ", " + name
		}
		if kind != "" {
			name += " " + kind
		}
		if !slices.Contains([]string{"", "false", "[]", "0", "0s"}, flag.DefValue) {
			usage += " (default " + flag.DefValue + ")"
		}
		p.item(name, usage)
	})
}

func (p *page) settings(program string) {
	for _, s := range config.Describe() {
		if !slices.Contains(s.Programs, program) {
			continue
		}
		text := s.Description
		if s.Limits != "" {
			text += " Values: " + s.Limits + "."
		}
		switch {
		case s.Required:
			text += " Required."
		case s.Default != "":
			text += " Default: " + s.Default + "."
		}
		p.item(s.Name, text)
	}
}

// roff writes text so that none of it is taken for a command.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "’", "'", "–", `\(en`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}

	return strings.Join(lines, "\n")
}
