package v1

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pgam/pgam/internal/api/route"
	"github.com/pgam/pgam/internal/live"
	"github.com/pgam/pgam/internal/sample"
	"github.com/pgam/pgam/internal/target"
)

const (
	// heartbeat is how long a stream is silent at most: proxies end what is
	// longer without a word.
	heartbeat = 15 * time.Second
	// streamWrite bounds one write to a listener.
	streamWrite = 10 * time.Second
	// recheckEvery is how often it is looked whether a listener may still
	// listen.
	recheckEvery = 3 * time.Second
)

// streamTick is the data of an event of the kind tick.
type streamTick struct {
	At          time.Time        `json:"at"`
	Problem     *string          `json:"problem" doc:"Why the server was not seen; then nothing else is known. Null: it was."`
	Sessions    classCounts      `json:"sessions" doc:"Sessions that are load, by wait class."`
	Connections map[string]int64 `json:"connections" doc:"Client backends by state, the monitor's own left out; empty: none are known."`
	Waiting     int              `json:"waiting" doc:"Sessions that wait for another."`
	Roots       []rootRow        `json:"roots" nullable:"false" doc:"What holds others up: at most twenty, the one with the most behind it first."`
	Activity    *[]sessionNow    `json:"activity" doc:"Those that are not idle, by pid; null: they were not asked for. Statements are cut after 4 KiB, sooner where there are many."`
	Edges       *[]edgeRow       `json:"edges" doc:"Who waits for whom; null: it was not asked for."`
	Hidden      int              `json:"hidden" doc:"Sessions of which the monitoring user may see nothing."`
	Untracked   int              `json:"untracked" doc:"Sessions with track_activities off, idle ones too: what they run is not told, nor before PostgreSQL 14 whether they are idle."`
}

type classCounts struct {
	CPU               int `json:"cpu"`
	Lock              int `json:"lock"`
	LWLock            int `json:"lwlock"`
	IO                int `json:"io"`
	IPC               int `json:"ipc"`
	Client            int `json:"client"`
	Timeout           int `json:"timeout"`
	Buffer            int `json:"buffer"`
	Extension         int `json:"extension"`
	Other             int `json:"other"`
	IdleInTransaction int `json:"idle_in_transaction"`
}

func classCountsOf(n [sample.NumClasses]int) classCounts {
	return classCounts{
		CPU: n[sample.ClassCPU], Lock: n[sample.ClassLock], LWLock: n[sample.ClassLWLock], IO: n[sample.ClassIO], IPC: n[sample.ClassIPC],
		Client: n[sample.ClassClient], Timeout: n[sample.ClassTimeout], Buffer: n[sample.ClassBuffer],
		Extension: n[sample.ClassExtension], Other: n[sample.ClassOther], IdleInTransaction: n[sample.ClassIdleInTransaction],
	}
}

const (
	// mostRoots bounds the roots of a tick.
	mostRoots = 20
	// mostText bounds a statement of its sessions, and mostTexts all of them, in
	// bytes: a stream makes no room for its answers.
	mostText, mostTexts = 4 << 10, 1 << 20
)

// tickOf shows a tick; whole with its sessions, each of them.
func tickOf(t live.Tick, whole bool) streamTick {
	tick := streamTick{At: utc(t.At), Sessions: classCountsOf(t.Classes), Connections: t.Connections, Roots: []rootRow{}, Hidden: t.Hidden, Untracked: t.Untracked}
	if tick.Connections == nil {
		tick.Connections = map[string]int64{}
	}
	if t.Err != nil {
		problem := "PostgreSQL: " + t.Err.Explain()
		tick.Problem = &problem
		return tick
	}
	b := blockingNow(t.Locks)
	tick.Waiting = b.Waiting
	for _, root := range b.Roots[:min(len(b.Roots), mostRoots)] {
		tick.Roots = append(tick.Roots, rootOf(root, t.At))
	}
	if whole {
		sessions, edges := make([]sessionNow, len(t.Sessions)), blockingOf(b, t.At, all).Edges
		most := min(mostText, mostTexts/max(1, len(sessions)))
		for i, s := range t.Sessions {
			sessions[i] = sessionRow(s)
			if text := sessions[i].Query; text != nil && len(*text) > most {
				cut := strings.ToValidUTF8((*text)[:most], "") + "…"
				sessions[i].Query = &cut
			}
		}
		tick.Activity, tick.Edges = &sessions, &edges
	}
	return tick
}

type streamInput struct {
	ServerPath
	Every int `query:"every" minimum:"1" maximum:"3600" default:"1" doc:"Seconds between two ticks."`
	// Sessions is asked for by pages that show them; programs that count need none.
	Sessions bool `query:"sessions" doc:"Also all sessions that are not idle, and who waits for whom: activity and edges."`
}

// describeStream is what the document says of a stream.
func (r routes) describeStream(op huma.Operation) huma.Operation {
	op.Description = "Server-sent events: one of the kind tick at once and then every so many seconds, a comment where nothing is sent for a while, " +
		"and one of the kind end, with the reason, when the stream is over: the token has expired, the server was removed, the program stops, " +
		"or what was sent was not taken in time."
	op.Responses = map[string]*huma.Response{"200": {
		Description: "The data of each event of the kind tick has this form.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: r.Schema(reflect.TypeFor[streamTick]())}},
	}}
	return op
}

func (r routes) stream(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
	t, err := r.Live.Server(in.Name)
	if err != nil {
		return nil, err
	}
	if route.IsHead(ctx) {
		return &huma.StreamResponse{Body: streamHeaders}, nil
	}
	user, _ := route.User(ctx)
	listener, err := r.Live.Listen(ctx, t, user.Login, time.Duration(in.Every)*time.Second)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer listener.Close()
		streamHeaders(ctx)
		w, ok := ctx.BodyWriter().(http.ResponseWriter)
		if !ok {
			return
		}
		if err := r.feed(ctx.Context(), w, t, listener, in.Sessions); err != nil {
			r.Log.DebugContext(ctx.Context(), "live stream ended", "request_id", route.RequestID(ctx.Context()), "server", t.Name, "error", err)
		}
	}}, nil
}

func streamHeaders(ctx huma.Context) {
	ctx.SetHeader("Content-Type", "text/event-stream")
	ctx.SetHeader("Cache-Control", "no-store")
	ctx.SetHeader("X-Accel-Buffering", "no")
	ctx.SetStatus(http.StatusOK)
}

// feed writes ticks to a client until one of both ends.
func (r routes) feed(ctx context.Context, w http.ResponseWriter, t target.Target, listener *live.Listener, whole bool) error {
	out := events{w: w, control: http.NewResponseController(w)}
	if err := out.write(": pgam\n\n"); err != nil {
		return err
	}
	beat, check := time.NewTicker(heartbeat), time.NewTicker(recheckEvery)
	defer beat.Stop()
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case tick, open := <-listener.Ticks():
			if !open {
				return out.end(listener.Err())
			}
			if now, err := r.Live.Server(t.Name); err == nil {
				t = now // who may see what may have changed
			}
			var err error
			if tick.Locks.Sessions, err = route.Shown(ctx, t, tick.Locks.Sessions); err != nil {
				return err
			}
			if whole {
				if tick.Sessions, err = route.Shown(ctx, t, tick.Sessions); err != nil {
					return err
				}
			}
			if err := r.send(&out, tick, whole); err != nil {
				return err
			}
			beat.Reset(heartbeat)
		case <-beat.C:
			if err := out.write(": still here\n\n"); err != nil {
				return err
			}
		case <-check.C:
			if err := r.Recheck(ctx); route.Refused(err) {
				return out.end(err)
			}
		}
	}
}

func (r routes) send(out *events, tick live.Tick, whole bool) error {
	var data bytes.Buffer
	if err := r.Marshal(&data, tickOf(tick, whole)); err != nil {
		return fmt.Errorf("encode tick: %w", err)
	}
	return out.write(fmt.Sprintf("event: tick\ndata: %s\n\n", bytes.TrimSpace(data.Bytes())))
}

// events writes server-sent events, each at once and within its own time.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (e *events) write(text string) error {
	// A writer that knows no deadline is one of a test.
	if err := e.control.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("bound a write: %w", err)
	}
	if _, err := e.w.Write([]byte(text)); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	if err := e.control.Flush(); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	return nil
}

// end tells the client why nothing more comes.
func (e *events) end(why error) error {
	reason := "the stream was ended: ask again"
	switch {
	case errors.Is(why, live.ErrTooSlow):
		reason = "too slow: what was sent was not taken in time"
	case errors.Is(why, live.ErrStreamEnded):
		reason = "the server was removed, or the program stops: ask again"
	case why != nil:
		reason = "no longer allowed: log in again"
	}
	if err := e.write(fmt.Sprintf("event: end\ndata: {\"reason\":%q}\n\n", reason)); err != nil {
		return err
	}
	return why
}
