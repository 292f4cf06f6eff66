package tests

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// traffic is a constant load of pushes and queries by clients that go to the
// next process when one fails, while the cluster is disturbed.
type traffic struct {
	t      *testing.T
	ledger *ledger
	// Where clients go: distributors and query-frontends.
	entries, fronts []*endpoint

	stop    context.CancelFunc
	running sync.WaitGroup
	begun   time.Time

	pushes, queries *tally

	mu      sync.Mutex
	refused []*parcel // by all entries; sent again later
}

// Sizes of the load.
const (
	pushers     = 3
	pushPause   = 25 * time.Millisecond
	askers      = 2
	askPause    = 60 * time.Millisecond
	callTimeout = 15 * time.Second
)

// tally counts what clients see of one kind of request.
type tally struct {
	mu       sync.Mutex
	requests int // each counted once, however often it is tried
	moved    int // that failed at one process and were taken to the next
	failed   int // that failed at all of them
	last     time.Time
	stall    time.Duration // the longest time without a success
	slowest  time.Duration // of one that had success
	errors   map[string]int
	wrong    atomic.Int64 // answers that must not have been given
}

func newTally() *tally { return &tally{last: time.Now(), errors: map[string]int{}} }

// success notes a request that was answered by the tries-th process.
func (c *tally) success(begun time.Time, tries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.requests++
	if tries > 1 {
		c.moved++
	}
	c.stall, c.last = max(c.stall, now.Sub(c.last)), now
	c.slowest = max(c.slowest, now.Sub(begun))
}

func (c *tally) failure() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	c.failed++
}

func (c *tally) problem(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errors[err.Error()]++
}

// end closes the books: the last success may be long ago.
func (c *tally) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stall = max(c.stall, time.Since(c.last))
}

// begin starts the load.
func (f *fleet) begin(t *testing.T, l *ledger) *traffic {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &traffic{
		t: t, ledger: l, entries: f.endpoints("distributor"), fronts: f.endpoints("query-frontend"),
		stop: stop, begun: time.Now(), pushes: newTally(), queries: newTally(),
	}
	for n := range pushers {
		w.running.Go(func() { w.push(ctx, n) })
	}
	for n := range askers {
		w.running.Go(func() { w.ask(ctx, n) })
	}
	w.running.Go(func() { w.again(ctx) })
	return w
}

// push sends new profiles, and leaves to again what nobody takes.
func (w *traffic) push(ctx context.Context, n int) {
	for ; ctx.Err() == nil; n++ {
		p := w.ledger.parcel(w.t)
		if !w.send(ctx, p, n) {
			w.mu.Lock()
			w.refused = append(w.refused, p)
			w.mu.Unlock()
		}
		pause(ctx, pushPause)
	}
}

// send tries all entries, another one first each time, and reports whether the
// parcel has been acknowledged.
func (w *traffic) send(ctx context.Context, p *parcel, n int) bool {
	ok := w.pushes.try(ctx, w.t, w.entries, n, func(ctx context.Context, s *server) error {
		return push(ctx, s.pusher(), p.series...)
	})
	if ok {
		w.ledger.ack(p)
	}
	return ok
}

// try makes one request, at one process after the other. What is cut off
// because the test ends counts as nothing.
func (c *tally) try(ctx context.Context, t *testing.T, at []*endpoint, n int, fn func(context.Context, *server) error) bool {
	begun := time.Now()
	for i := range at {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		err := fn(cctx, at[(n+i)%len(at)].server)
		cancel()
		if err == nil {
			c.success(begun, i+1)
			return true
		}
		c.problem(err)
		if !retryable(err) && c.wrong.Add(1) <= 5 {
			t.Errorf("%s: an answer that clients would not try again, or must not get: %v", at[(n+i)%len(at)].name, err)
		}
	}
	c.failure()
	return false
}

// again sends what was refused once more, the same bytes, until it is taken.
func (w *traffic) again(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		w.mu.Lock()
		var p *parcel
		if len(w.refused) > 0 {
			p, w.refused = w.refused[0], w.refused[1:]
		}
		w.mu.Unlock()
		if p != nil && !w.send(ctx, p, n) {
			w.mu.Lock()
			w.refused = append(w.refused, p)
			w.mu.Unlock()
		}
		pause(ctx, 2*pushPause)
	}
}

// ask reads what has been acknowledged, and holds every answer to that.
func (w *traffic) ask(ctx context.Context, n int) {
	for ; ctx.Err() == nil; n++ {
		w.queries.try(ctx, w.t, w.fronts, n, func(ctx context.Context, s *server) error {
			if n%4 != 0 {
				_, err := w.ledger.points(ctx, s)
				return err
			}
			acked, _ := w.ledger.promised()
			graph, merged, err := w.ledger.graph(ctx, s)
			if err == nil {
				err = w.ledger.bounds(acked, graph, merged)
			}
			return err
		})
		pause(ctx, askPause)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// end stops the load, once. What was refused last is still not acknowledged.
func (w *traffic) end() {
	w.t.Helper()
	if w.stop == nil {
		return
	}
	w.stop()
	w.stop = nil
	w.running.Wait()
	w.pushes.end()
	w.queries.end()
}

// redeem sends everything that was refused until it is acknowledged.
func (w *traffic) redeem() {
	w.t.Helper()
	for n, p := range w.refused {
		patiently(w.t, "send again what was refused", func() error {
			n++
			return push(w.t.Context(), w.entries[n%len(w.entries)].pusher(), p.series...)
		})
		w.ledger.ack(p)
	}
	w.refused = nil
}

// row is a line of the table of docs/operations.md.
func (w *traffic) row(what string) string {
	return fmt.Sprintf("| %s | %.0f s | %s | %s |", what, time.Since(w.begun).Seconds(), w.pushes, w.queries)
}

// rowHead is the table's head.
const rowHead = `| what happens | for | pushes | to the other distributor | refused | longest without one | slowest | queries | to the other front | refused | longest without one | slowest |
|---|---|---|---|---|---|---|---|---|---|---|---|`

// String is a tally's part of a row.
func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := max(1, c.requests)
	return fmt.Sprintf("%d | %.2f %% | %.2f %% | %.2f s | %.2f s", c.requests, 100*float64(c.moved)/float64(n), 100*float64(c.failed)/float64(n), c.stall.Seconds(), c.slowest.Seconds())
}

// causes lists the errors that clients saw, the commonest first.
func (c *tally) causes() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	texts := slices.SortedFunc(maps.Keys(c.errors), func(a, b string) int { return c.errors[b] - c.errors[a] })
	var out strings.Builder
	for _, text := range texts[:min(len(texts), 6)] {
		fmt.Fprintf(&out, "\n%6d × %.300s", c.errors[text], text)
	}
	return out.String()
}
