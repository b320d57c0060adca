package route

import (
	"context"

	"github.com/pgam/pgam/internal/live"
)

// Room is the memory that the answer to a request may take.
type Room interface {
	// Grow makes it so many bytes, or gives the error that is the answer then.
	Grow(bytes int64) error
}

type roomKey struct{}

// WithRoom notes the room of a request's answer.
func WithRoom(ctx context.Context, room Room) context.Context {
	return context.WithValue(ctx, roomKey{}, room)
}

// Grow makes the room of a request's answer so many bytes, where it has one.
func Grow(ctx context.Context, bytes int64) error {
	room, ok := ctx.Value(roomKey{}).(Room)
	if !ok {
		return nil // a stream, whose listeners are counted
	}
	return room.Grow(bytes)
}

const (
	// copies is how often a text is in memory while sessions become an answer: as it
	// was read and as it is shown, encoded, and in the answer, which may have grown
	// to twice its length.
	copies = 5
	// sessionBytes is what a session takes without its texts.
	sessionBytes = 2 << 10
)

// roomFor makes room for an answer of these sessions: a server that shows very
// many, or very long statements, must not fill the memory when many ask for them.
func roomFor(ctx context.Context, sessions []live.Session) error {
	bytes := int64(len(sessions)) * sessionBytes
	for i := range sessions {
		if text := sessions[i].Query; text != nil {
			bytes += copies * int64(len(*text))
		}
	}
	return Grow(ctx, bytes)
}
