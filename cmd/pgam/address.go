package main

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/pgam/pgam/internal/secret"
	"github.com/pgam/pgam/internal/target"
)

// parseServerURL reads postgres://user:password@host:port/database?sslmode=…
// as libpq does, without libpq's defaults from the environment. The host may be
// the folder of a Unix socket, as ?host=/folder. Errors hold nothing of a password.
func parseServerURL(text string) (target.Endpoint, error) {
	var e target.Endpoint
	if !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		return e, errors.New("the address of a server must be a URL: postgres://user:password@host:5432/postgres")
	}
	u, err := url.Parse(text)
	if err != nil {
		return e, errors.New("the address of a server is not a valid URL: write special characters of the password as %XX, and the folder of a socket as ?host=/folder")
	}
	if strings.Contains(u.Host, ",") {
		return e, errors.New("the address of a server names several hosts: add each as a server of its own")
	}
	e.Host, e.Database = u.Hostname(), strings.TrimPrefix(u.Path, "/")
	if port := u.Port(); port != "" {
		if e.Port, err = parsePort(port); err != nil {
			return e, err
		}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		e.User, e.Password = u.User.Username(), secret.New(password)
	}
	if err := applyQuery(&e, u.RawQuery); err != nil {
		return e, err
	}
	switch {
	case e.Host == "":
		return e, errors.New("the address of a server names no host: postgres://user:password@host:5432/postgres")
	case e.User == "":
		return e, errors.New("the address of a server names no user: postgres://user:password@host:5432/postgres")
	}

	return e, nil
}

// applyQuery reads what stands after the question mark.
func applyQuery(e *target.Endpoint, query string) error {
	// In a connection URI a plus sign stands for itself.
	values, err := url.ParseQuery(strings.ReplaceAll(query, "+", "%2B"))
	if err != nil {
		return errors.New("the address of a server is not a valid URL: write special characters after the ? as %XX")
	}
	for name, list := range values {
		value := list[len(list)-1]
		switch name {
		case "host":
			e.Host = value
		case "port":
			if e.Port, err = parsePort(value); err != nil {
				return err
			}
		case "user":
			e.User = value
		case "password":
			e.Password = secret.New(value)
		case "dbname":
			e.Database = value
		case "sslmode":
			e.TLS = target.TLSMode(value)
		case "application_name", "connect_timeout": // pgam has its own.
		default:
			return fmt.Errorf("the address of a server holds %q, which pgam does not know: leave it out", name)
		}
	}

	return nil
}

func parsePort(text string) (int, error) {
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return 0, errors.New("the port of a server must be a number from 1 to 65535")
	}

	return port, nil
}
