package v1

import (
	"encoding/base64"
	"encoding/json"
	"net/http"

	"github.com/pgam/pgam/internal/api/route"
)

// A cursor is where the next page begins, in a form that clients need not
// understand.

var errCursor = route.NewError(http.StatusUnprocessableEntity, "cursor is not one that was given out")

func writeCursor(place any) *string {
	text, err := json.Marshal(place)
	if err != nil {
		return nil // places are made of texts, numbers and instants
	}
	cursor := base64.RawURLEncoding.EncodeToString(text)
	return &cursor
}

// readCursor reads what writeCursor wrote; ok is false for the first page.
func readCursor[T any](cursor string) (place T, ok bool, err error) {
	if cursor == "" {
		return place, false, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(text, &place)
	}
	if err != nil {
		return place, false, errCursor
	}
	return place, true, nil
}
