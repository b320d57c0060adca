package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/daemon"
)

// healthWithin bounds the health check.
const healthWithin = 3 * time.Second

func (t *tool) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := daemon.Build()
			t.printf("pgam %s (%s, %s)\n", b.Version, b.Revision, b.GoVersion)

			return nil
		},
	}
}

func (t *tool) healthcheckCommand() *cobra.Command {
	var flag string
	cmd := &cobra.Command{
		Use:   "healthcheck [URL]",
		Short: "Exit with 0 if a program of ours answers that it is well, else with 1",
		Long: `Asks an address and exits with 0 if the answer is 200, else with 1; for
containers and scripts. Without a URL it asks the API at its usual address
whether it lives; /readyz says whether it can also reach stats_db.`,
		Example: `  pgam healthcheck
  pgam healthcheck http://127.0.0.1:8000/readyz
  pgam healthcheck --url http://127.0.0.1:8001/readyz`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			address := flag
			switch {
			case len(args) == 1 && flag != "":
				return misconfigured{errors.New("the URL is given twice")}
			case len(args) == 1:
				address = args[0]
			case flag == "":
				address = "http://127.0.0.1:8000/healthz"
			}

			return healthcheck(cmd.Context(), address)
		},
	}
	cmd.Flags().StringVar(&flag, "url", "", "the `URL`, instead of the argument")

	return cmd
}

func healthcheck(ctx context.Context, address string) error {
	if u, err := url.Parse(address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return misconfigured{errors.New("the URL must begin with http:// or https://")}
	}
	ctx, cancel := context.WithTimeout(ctx, healthWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return misconfigured{errors.New("the URL is not valid")}
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // By no proxy.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: nothing listens there", address)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%s: no answer within %s", address, healthWithin)
	case err != nil:
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s%s", address, response.Status, failedChecks(response.Body))
	}

	return nil
}

// failedChecks names what an answer of /readyz says is wrong.
func failedChecks(body io.Reader) string {
	var report struct {
		Checks []struct {
			Name   string `json:"name"`
			Status string `json:"status"`
		} `json:"checks"`
	}
	if err := json.NewDecoder(io.LimitReader(body, 64<<10)).Decode(&report); err != nil {
		return ""
	}
	var text strings.Builder
	for _, check := range report.Checks {
		if check.Status != "ok" {
			text.WriteString(", " + check.Name + " " + check.Status)
		}
	}

	return text.String()
}
