package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/gin-gonic/gin"
	"golang.org/x/sync/semaphore"

	"github.com/pgam/pgam/internal/api/route"
)

const (
	// minCompressed is the shortest answer that is compressed: a shorter one
	// fits into one packet as it is.
	minCompressed = 1400
	// maxKept bounds the memory of an answer that is kept for the next one.
	maxKept = 4 << 20
	// answerRoom is the memory for all large answers that are being made or
	// read, and largeAnswer what one may take while it is made: a megabyte of
	// series took eight. The small ones have a room of their own, so that none
	// waits behind a large one.
	answerRoom  = 96 << 20
	largeAnswer = 12 << 20
	smallRoom   = 32 << 20
	smallAnswer = 256 << 10
	// grownRoom is for what turns out to need more than it was given: sessions of
	// a server that has very many, or very long statements.
	grownRoom = 48 << 20
	// roomWait is how long a request waits for room.
	roomWait = 10 * time.Second
	// takeLimit is how long a client may take for an answer that is made.
	takeLimit = 20 * time.Second
)

// answers gives answers with a body their ETag, so that a client that has the
// same already is told so (304), and compresses large ones. Both need the whole
// body, so it is held until the handler is done; errors, streams and everything
// else go through as they are written.
//
// The tag is weak: it is of the content, whatever its encoding. It covers
// nothing but the body, so two users that share a cache never get each other's:
// the server compares with what this user would get.
//
// What is made or not yet taken has room in bytes; who finds none in time is told
// to come again, so that no number of slow readers is the end of the process.
type answers struct {
	large, small, grown *semaphore.Weighted
	wait                time.Duration
	held                sync.Pool // of *heldAnswer
	packers             sync.Pool // of *gzip.Writer
	// What all answers share, and nobody changes in place.
	revalidate, vary []string
}

func newAnswers(room int64, wait time.Duration) *answers {
	a := &answers{grown: semaphore.NewWeighted(grownRoom), large: semaphore.NewWeighted(room), small: semaphore.NewWeighted(smallRoom), wait: wait, revalidate: []string{"private, no-cache"}, vary: []string{"Accept-Encoding"}}
	a.held.New = func() any { return new(heldAnswer) }
	a.packers.New = func() any {
		// The fastest level packs these answers, full of repetitions, tenfold.
		w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
		return w
	}
	return a
}

// handle is the middleware.
func (a *answers) handle(c *gin.Context) {
	if path := c.FullPath(); c.Request.Method != http.MethodGet || path == "" || quiet(path) || shown(path) {
		c.Next()
		return
	}
	taken := &place{a: a, room: a.small, bytes: smallAnswer}
	if isLarge(c.FullPath()) {
		taken.room, taken.bytes = a.large, largeAnswer
	}
	if !a.enter(c, taken.room, taken.bytes) {
		return
	}
	defer func() { taken.shrink(0) }()
	c.Request = c.Request.WithContext(route.WithRoom(c.Request.Context(), taken))
	plain := c.Writer
	held := a.held.Get().(*heldAnswer)
	held.ResponseWriter, held.body, held.state = plain, held.body[:0], undecided
	done := false
	defer func() { // a panic is answered by whoever recovers it
		c.Writer = plain
		if done && held.state == holding {
			// Now it is known what it takes until it is read: itself, and packed.
			kept := int64(2 * len(held.body))
			if taken.Grow(kept) != nil {
				held.body = nil
				a.refuse(c)
				return
			}
			taken.shrink(kept)
			_ = http.NewResponseController(plain).SetWriteDeadline(time.Now().Add(takeLimit)) // a test's writer knows none
			a.finish(c, held)
		}
		held.ResponseWriter = nil
		if cap(held.body)+held.packed.Cap() <= maxKept {
			a.held.Put(held)
		}
	}()
	c.Writer = held
	c.Next()
	done = true
}

// isLarge says whether a route's answers may be large: series and what is made of
// them.
func isLarge(route string) bool {
	return strings.Contains(route, "/history/") || strings.HasSuffix(route, "/incident") || strings.HasSuffix(route, "/stats")
}

// enter waits for room, and tells the client where there is none in time. One that
// has hung up meanwhile did not lack room, and is no 503 that pages somebody.
func (a *answers) enter(c *gin.Context, room *semaphore.Weighted, bytes int64) bool {
	if room.TryAcquire(bytes) {
		return true
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), a.wait)
	defer cancel()
	if room.Acquire(ctx, bytes) == nil {
		return true
	}
	if c.Request.Context().Err() != nil {
		writeError(c, clientLeft, "the client did not wait")
		return false
	}
	a.refuse(c)
	return false
}

const (
	noRoom      = "Too many large answers are being made or read: try again in a moment, or ask for less"
	noRoomAgain = "5" // seconds
)

// refuse tells the client that there is no room.
func (a *answers) refuse(c *gin.Context) {
	c.Header("Retry-After", noRoomAgain)
	writeError(c, http.StatusServiceUnavailable, noRoom)
}

// place is the room of one answer.
type place struct {
	a     *answers
	room  *semaphore.Weighted
	bytes int64 // of room
	more  int64 // of the room for what has grown
}

// Grow implements route.Room. It does not wait: what is to become an answer is in
// memory already.
func (p *place) Grow(bytes int64) error {
	need := min(bytes-p.bytes, grownRoom) - p.more
	if need <= 0 {
		return nil
	}
	if !p.a.grown.TryAcquire(need) {
		e := route.NewError(http.StatusServiceUnavailable, noRoom)
		e.Header = http.Header{"Retry-After": {noRoomAgain}}
		return e
	}
	p.more += need
	return nil
}

// shrink gives back all but so many bytes.
func (p *place) shrink(bytes int64) {
	if give := min(p.more, max(p.bytes+p.more-bytes, 0)); give > 0 {
		p.a.grown.Release(give)
		p.more -= give
	}
	if give := p.bytes - bytes; give > 0 {
		p.room.Release(give)
		p.bytes -= give
	}
}

// finish writes what was held.
func (a *answers) finish(c *gin.Context, held *heldAnswer) {
	header := c.Writer.Header()
	tag := tagOf(held.body)
	header.Set("Etag", tag)
	header["Cache-Control"] = a.revalidate
	if header["Vary"] == nil {
		header["Vary"] = a.vary
	} else {
		header.Add("Vary", a.vary[0])
	}
	if matches(c.Request.Header["If-None-Match"], tag) {
		header.Del("Content-Type")
		header.Del("Content-Length")
		c.Writer.WriteHeader(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return
	}
	if len(held.body) < minCompressed || !acceptsGzip(c.Request.Header["Accept-Encoding"]) {
		header.Set("Content-Length", strconv.Itoa(len(held.body)))
		_, _ = c.Writer.Write(held.body) // an error means that the client has gone
		return
	}
	header.Set("Content-Encoding", "gzip")
	packed := a.pack(held)
	header.Set("Content-Length", strconv.Itoa(len(packed)))
	_, _ = c.Writer.Write(packed)
}

// pack gives the body compressed, in memory of the answer's own.
func (a *answers) pack(held *heldAnswer) []byte {
	packer := a.packers.Get().(*gzip.Writer)
	held.packed.Reset()
	packer.Reset(&held.packed)
	_, _ = packer.Write(held.body) // neither can fail: it is memory
	_ = packer.Close()
	packer.Reset(io.Discard)
	a.packers.Put(packer)
	return held.packed.Bytes()
}

// tagOf gives the ETag of a body.
func tagOf(body []byte) string {
	var sum [8]byte
	binary.BigEndian.PutUint64(sum[:], xxhash.Sum64(body))
	tag := append(make([]byte, 0, 24), `W/"`...)
	return string(append(hex.AppendEncode(tag, sum[:]), '"'))
}

// matches says whether one of the tags in If-None-Match is this weak one.
func matches(fields []string, tag string) bool {
	strong := strings.TrimPrefix(tag, "W/")
	for _, field := range fields {
		for one := range strings.SplitSeq(field, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == strong {
				return true
			}
		}
	}
	return false
}

// acceptsGzip says whether Accept-Encoding allows gzip: by its name, or by "*"
// where it is not named.
func acceptsGzip(fields []string) bool {
	wild := false
	for _, field := range fields {
		for one := range strings.SplitSeq(field, ",") {
			name, params, _ := strings.Cut(one, ";")
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"):
				return !refused(params)
			case name == "*":
				wild = !refused(params)
			}
		}
	}
	return wild
}

// refused says whether the parameters of an encoding give it the weight zero.
func refused(params string) bool {
	name, weight, _ := strings.Cut(params, "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return false
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
	return err == nil && q <= 0
}

// The states of a heldAnswer.
const (
	undecided = iota // nothing was written
	holding          // the body is kept for finish
	passing          // it is none of ours
)

// heldAnswer keeps the body of a good answer in JSON.
type heldAnswer struct {
	gin.ResponseWriter
	body   []byte
	packed bytes.Buffer // of pack
	state  int
}

// holds decides with the first byte.
func (h *heldAnswer) holds() bool {
	if h.state == undecided {
		h.state = passing
		if !h.ResponseWriter.Written() && h.Status() == http.StatusOK && h.Header().Get("Content-Type") == "application/json" {
			h.state = holding
		}
	}
	return h.state == holding
}

// Write implements io.Writer.
func (h *heldAnswer) Write(p []byte) (int, error) {
	if h.holds() {
		h.body = append(h.body, p...)
		return len(p), nil
	}
	return h.ResponseWriter.Write(p)
}

// WriteString implements io.StringWriter.
func (h *heldAnswer) WriteString(s string) (int, error) {
	if h.holds() {
		h.body = append(h.body, s...)
		return len(s), nil
	}
	return h.ResponseWriter.WriteString(s)
}

// WriteHeaderNow implements gin.ResponseWriter.
func (h *heldAnswer) WriteHeaderNow() {
	if h.state != holding {
		h.state = passing
		h.ResponseWriter.WriteHeaderNow()
	}
}

// Flush implements http.Flusher: whoever flushes is a stream.
func (h *heldAnswer) Flush() {
	if h.state == holding && len(h.body) > 0 {
		_, _ = h.ResponseWriter.Write(h.body)
	}
	h.state = passing
	h.ResponseWriter.Flush()
}

// Written implements gin.ResponseWriter.
func (h *heldAnswer) Written() bool { return h.state == holding || h.ResponseWriter.Written() }

// Size implements gin.ResponseWriter.
func (h *heldAnswer) Size() int {
	if h.state == holding {
		return len(h.body)
	}
	return h.ResponseWriter.Size()
}

// Unwrap lets http.ResponseController reach the connection.
func (h *heldAnswer) Unwrap() http.ResponseWriter { return h.ResponseWriter }
