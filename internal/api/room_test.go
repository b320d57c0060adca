package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/pgam/pgam/internal/api/route"
)

// Answers that are being made, or made and not yet taken, have room in bytes;
// who finds none is told to come again, and one that is taken makes room.
func TestAnswersHaveRoomInBytes(t *testing.T) {
	t.Parallel()
	a := newAnswers(2*largeAnswer, time.Millisecond)
	engine := newRouter()
	engine.Use(a.handle)
	making, finish := make(chan struct{}), make(chan struct{})
	engine.GET("/history/large", func(c *gin.Context) {
		making <- struct{}{}
		<-finish
		c.Data(http.StatusOK, "application/json", []byte(strings.Repeat(" ", 1<<20)))
	})
	engine.GET("/small", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", []byte("{}")) })
	ask := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/history/large", http.NoBody))
		return w
	}
	answers := make(chan *httptest.ResponseRecorder)
	for range 2 {
		go func() { answers <- ask() }()
		<-making
	}
	if r := ask(); r.Code != http.StatusServiceUnavailable || r.Header().Get("Retry-After") == "" || !strings.Contains(r.Body.String(), "detail") {
		t.Errorf("a third: %d %v %s", r.Code, r.Header(), r.Body)
	}
	w := httptest.NewRecorder()
	engine.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/small", http.NoBody))
	if w.Code != http.StatusOK {
		t.Errorf("a small one waits for the large: %d", w.Code)
	}
	close(finish)
	for range 2 {
		if r := <-answers; r.Code != http.StatusOK || r.Body.Len() != 1<<20 {
			t.Errorf("one that had room: %d, %d bytes", r.Code, r.Body.Len())
		}
	}
	if !a.large.TryAcquire(2 * largeAnswer) {
		t.Error("what was taken still has room")
	}
}

// An answer that turns out to be large has no room of the small ones: where there
// is none for it, it is given up before it is encoded, or at the latest before it
// is sent; the others are answered, and all room is given back.
func TestAnswersThatGrowHaveRoom(t *testing.T) {
	t.Parallel()
	a := newAnswers(2*largeAnswer, time.Millisecond)
	engine := newRouter()
	engine.Use(a.handle)
	begun, finish := make(chan struct{}), make(chan struct{})
	engine.GET("/sessions/:how", func(c *gin.Context) {
		room, text := int64(0), 1<<10
		switch c.Param("how") {
		case "held":
			room, text = 2*grownRoom, 1<<20 // which is all there is
		case "told":
			room = 1 << 20
		case "untold":
			text = 1 << 20
		}
		if err := route.Grow(c.Request.Context(), room); err != nil {
			var fault *route.Error
			if !errors.As(err, &fault) || fault.Header.Get("Retry-After") == "" {
				t.Errorf("no room: %v", err)
			}
			writeError(c, fault.Status, fault.Detail)
			return
		}
		if c.Param("how") == "held" {
			close(begun)
			<-finish
		}
		c.Data(http.StatusOK, "application/json", []byte(strings.Repeat(" ", text)))
	})
	ask := func(how string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sessions/"+how, http.NoBody))
		return w
	}
	held := make(chan *httptest.ResponseRecorder)
	go func() { held <- ask("held") }()
	<-begun
	for how, want := range map[string]int{"small": http.StatusOK, "told": http.StatusServiceUnavailable, "untold": http.StatusServiceUnavailable} {
		if r := ask(how); r.Code != want || r.Body.Len() > 2<<10 {
			t.Errorf("%s: %d, %d bytes", how, r.Code, r.Body.Len())
		}
	}
	close(finish)
	if r := <-held; r.Code != http.StatusOK || r.Body.Len() != 1<<20 {
		t.Errorf("one that had room: %d, %d bytes", r.Code, r.Body.Len())
	}
	if r := ask("untold"); r.Code != http.StatusOK || r.Body.Len() != 1<<20 {
		t.Errorf("one that has room now: %d, %d bytes", r.Code, r.Body.Len())
	}
	if !a.small.TryAcquire(smallRoom) || !a.grown.TryAcquire(grownRoom) {
		t.Error("what was taken still has room")
	}
}

// A client that hung up lacks no room: it is neither refused while there is some,
// nor counted as an outage where there is none.
func TestWhoHungUpLacksNoRoom(t *testing.T) {
	t.Parallel()
	a := newAnswers(largeAnswer, time.Minute)
	engine := newRouter()
	engine.Use(a.handle)
	engine.GET("/history/large", func(c *gin.Context) { c.Data(http.StatusOK, "application/json", []byte("{}")) })
	gone, leave := context.WithCancel(t.Context())
	leave()
	ask := func() int {
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, httptest.NewRequestWithContext(gone, http.MethodGet, "/history/large", http.NoBody))
		return w.Code
	}
	if got := ask(); got != http.StatusOK {
		t.Errorf("with room: %d, want what the handler says", got)
	}
	if !a.large.TryAcquire(largeAnswer) {
		t.Fatal("the room was not given back")
	}
	if got := ask(); got != clientLeft {
		t.Errorf("without room: %d, want %d", got, clientLeft)
	}
}
