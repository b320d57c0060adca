// Package console holds the pages people look at, /ui/ and all below it, as
// files inside the binary. They are made from web/console by go run
// ./web/console, and committed: a clone with only Go serves them. All that a
// person sees there is asked of /api/v1 by the browser; nothing is asked of
// another host.
package console
