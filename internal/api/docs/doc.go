// Package docs owns the pages that show the API's document: Swagger UI at
// /docs and ReDoc at /redoc, with everything they need inside the binary.
//
// What must hold: no page makes a request to another host; scripts are files
// of ours, whose bytes a test holds against their makers' checksums; a page's
// Content-Security-Policy lets nothing else in. What a page refers to is under
// a path that changes with its bytes, so that it may be kept for ever.
// "make docs-assets" fetches the assets anew.
package docs
