package httpapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
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
