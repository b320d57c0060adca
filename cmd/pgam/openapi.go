package main

import (
	"github.com/spf13/cobra"

	"github.com/pgam/pgam/internal/api"
	"github.com/pgam/pgam/internal/daemon"
)

func (t *tool) openapiCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "openapi",
		Short:   "Print the description of the API (OpenAPI 3.1, JSON)",
		Example: "  pgam openapi > openapi.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			document, err := api.OpenAPI(daemon.Build().Version)
			if err != nil {
				return err
			}
			_, err = t.out.Write(document)

			return err
		},
	}
}
