package tests

import (
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/tests/stores"
)

// compactorFlags make everything a compactor may do due at once: it works when
// it is told to, and what it has replaced stays until the flags say otherwise.
var compactorFlags = []string{"-compactor.after=0s", "-compactor.ranges=1h,24h", "-compactor.max-block-bytes=3KiB", "-compactor.interval=1h", "-validation.reject-older-than=0"}

// ripe fills a bucket with the copies that two ingesters have of a history, in
// small blocks.
func ripe(t *testing.T, b *shelf) *history {
	t.Helper()
	h := newHistory("compacted", 3*time.Hour)
	flags := append([]string{"-validation.reject-older-than=0"}, b.flags...)
	one, other := startReady(t, t.TempDir(), flags...), startReady(t, t.TempDir(), flags...)
	for range 3 {
		h.push(t, 12, one, other)
		h.push(t, 3, one)
		h.push(t, 3, other)
		one.flush(t)
		other.flush(t)
	}
	one.stop(t)
	other.stop(t)
	return h
}

// reads starts a process that has nothing but the bucket.
func (b *shelf) reads(t *testing.T) *server {
	t.Helper()
	return startReady(t, t.TempDir(), append([]string{"-target=query-frontend,querier,store-gateway"}, b.flags...)...)
}

// compacts starts a process that is a compactor and nothing else.
func (b *shelf) compacts(t *testing.T, data string, flags ...string) *server {
	t.Helper()
	return startReady(t, data, slices.Concat([]string{"-target=compactor"}, b.flags, compactorFlags, flags)...)
}

// round makes a round of a compactor.
func round(t *testing.T, s *server) {
	t.Helper()
	code, body := s.post("/compactor/run", "", nil)
	require.Equal(t, http.StatusNoContent, code, body)
}

// looks is what can be seen of folders: names and sizes.
func looks(dirs ...string) uint64 {
	h := fnv.New64a()
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // it is being changed
			}
			if info, err := d.Info(); err == nil && !d.IsDir() {
				_, _ = fmt.Fprintln(h, path, info.Size())
			}
			return nil
		})
	}
	return h.Sum64()
}

// killAt has a compactor make a round and kills it when folders have changed k
// times. It reports whether it came to that. The process is held (SIGSTOP) while
// the folders are looked at, so that it does not get far between two looks.
func killAt(s *server, k int, dirs ...string) bool {
	last := looks(dirs...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.post("/compactor/run", "", nil)
	}()
	defer func() { <-done }()
	for {
		select {
		case <-done:
			_ = s.cmd.Process.Signal(syscall.SIGCONT)
			return false
		default:
		}
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		time.Sleep(200 * time.Microsecond)
		_ = s.cmd.Process.Signal(syscall.SIGSTOP)
		if now := looks(dirs...); now != last {
			last = now
			if k--; k == 0 {
				s.kill()
				return true
			}
		}
	}
}

// TestKillWhileCompacting kills the compactor at the first, the second, … change
// that it makes to the bucket. Whatever it leaves holds every
// profile once, and the next one ends it.
func TestKillWhileCompacting(t *testing.T) {
	t.Parallel()
	data, b := t.TempDir(), newShelf(t)
	b.killed(t, ripe(t, b), data, nil, func(s *server, k int) bool { return killAt(s, k, b.dir) })
}

// killed has kill kill compactors, first while they make new blocks, then while
// they remove the old ones, until nothing is left to do.
func (b *shelf) killed(t *testing.T, h *history, data string, flags []string, kill func(s *server, k int) bool) {
	t.Helper()
	before := len(b.blocks(t))
	long := b.reads(t)
	h.verify(t, long, "before")
	making := b.killedOften(t, h, data, flags, kill, func(when string) { h.verify(t, long, "by who knew it before, "+when) })
	require.Greater(t, making, 2)
	b.age(t)
	removing := b.killedOften(t, h, data, append([]string{"-compactor.deletion-delay=0s"}, flags...), kill, func(string) {})
	require.Positive(t, removing)
	b.settled(t, h, data)
	t.Logf("%d blocks, %d kills while others were made, %d while they were removed", before, making, removing)
}

// killedOften starts compactors that are killed at step k, for ever larger k,
// until there is no such step.
func (b *shelf) killedOften(t *testing.T, h *history, data string, flags []string, kill func(s *server, k int) bool, verify func(when string)) (kills int) {
	t.Helper()
	for k := 1; ; k++ {
		s := b.compacts(t, data, flags...)
		require.Empty(t, files(t, filepath.Join(data, "compactor")), "left from before")
		if !kill(s, k) {
			s.stop(t)
			return kills
		}
		kills++
		when := fmt.Sprintf("after a kill at step %d", k)
		verify(when)
		fresh := b.reads(t)
		h.verify(t, fresh, when)
		fresh.kill()
	}
}

// settled has a compactor end what others have begun, and requires that nothing
// is left of it.
func (b *shelf) settled(t *testing.T, h *history, data string) {
	t.Helper()
	b.age(t)
	s := b.compacts(t, data, "-compactor.deletion-delay=0s")
	for range 3 {
		round(t, s)
		fresh := b.reads(t)
		h.verify(t, fresh, "in the end")
		fresh.kill()
	}
	require.Empty(t, files(t, filepath.Join(data, "compactor")))
	b.tidy(t)
	jobs, shards := map[string]bool{}, 0
	for _, m := range b.blocks(t) {
		require.NotNil(t, m.Compaction, "%s", m.ID)
		shards = max(shards, m.Compaction.Shards)
		jobs[m.Compaction.Job.String()] = true
	}
	require.Len(t, jobs, 1, "one set of blocks a day")
	require.Greater(t, shards, 1)
	_, profiles := totals(h.values)
	require.EqualValues(t, profiles, b.rows(t))
}

// TestKillWhileCompactingAStore is TestKillWhileCompacting with a store that is
// reached over HTTP: there the compactor can be killed at every single request
// that changes something, before the store has it or after.
func TestKillWhileCompactingAStore(t *testing.T) {
	long(t)
	t.Parallel()
	store := stores.Start(t, bucket.S3)
	b, p := storeShelf(t, store), newPort(t, store.Address)
	b.killed(t, ripe(t, b), t.TempDir(), []string{"-storage.s3.endpoint=" + p.address}, p.killAt)
}

// port is where a process reaches a store, and can be killed while it does.
type port struct {
	address string

	mu   sync.Mutex
	left int // requests, up to the one at which kill is called
	kill func()
}

func newPort(t *testing.T, store string) *port {
	t.Helper()
	p, luck := new(port), newLuck(t)
	pass := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: store})
	pass.ErrorLog = log.New(io.Discard, "", 0)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kill := p.count(r)
		if kill != nil && luck.below(2) == 0 { // before the store has the request
			kill()
			return
		}
		pass.ServeHTTP(w, r)
		if kill != nil {
			kill()
		}
	}))
	t.Cleanup(s.Close)
	p.address = s.Listener.Addr().String()
	return p
}

// count counts a request, and returns what is to be called at this one.
func (p *port) count(r *http.Request) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Method == http.MethodGet || r.Method == http.MethodHead || p.kill == nil {
		return nil
	}
	if p.left--; p.left > 0 {
		return nil
	}
	kill := p.kill
	p.kill = nil
	return kill
}

// killAt is the killAt of a store.
func (p *port) killAt(s *server, k int) bool {
	killed := false
	p.mu.Lock()
	p.left, p.kill = k, func() { killed = true; s.kill() }
	p.mu.Unlock()
	_, _ = s.post("/compactor/run", "", nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kill = nil
	return killed
}

// TestKillAllWhileCompacting kills a process that does everything while its
// compactor works. Some of what it has is deleted.
func TestKillAllWhileCompacting(t *testing.T) {
	t.Parallel()
	data, h := t.TempDir(), newHistory("alone", 3*time.Hour)
	from, to := h.begin.Add(20*time.Minute), h.begin.Add(130*time.Minute)
	kills := 0
	for k := 1; ; k++ {
		s := startReady(t, data, compactorFlags...)
		h.everywhere(t, s, fmt.Sprintf("after %d kills", kills))
		h.push(t, 6, s)
		if kills == 1 {
			code, body := s.post("/hearth/v1/deletions?query={pod=%22pod-1%22}&start="+fmt.Sprint(from.UnixMilli())+"&end="+fmt.Sprint(to.UnixMilli()), "", nil)
			require.Equal(t, http.StatusCreated, code, body)
		}
		if kills > 0 {
			h.forget("pod-1", from, to)
		}
		if kills < 4 {
			s.flush(t)
		}
		if !killAt(s, k, filepath.Join(data, "bucket"), filepath.Join(data, "compactor")) {
			require.Greater(t, kills, 4)
			h.everywhere(t, s, "in the end")
			s.flush(t)
			round(t, s)
			h.everywhere(t, s, "after the last round")
			return
		}
		kills++
	}
}

// TestTwoCompactors has two processes compact the same blocks at once, neither
// of which knows of the other.
func TestTwoCompactors(t *testing.T) {
	t.Parallel()
	b, luck := newShelf(t), newLuck(t)
	h := ripe(t, b)
	long := b.reads(t)
	h.verify(t, long, "before")
	data := []string{t.TempDir(), t.TempDir()}
	var both []*server
	for _, d := range data {
		both = append(both, b.compacts(t, d))
	}
	for n := range 3 {
		var running sync.WaitGroup
		for i, s := range both {
			running.Go(func() {
				time.Sleep(time.Duration(i*luck.below(20)) * time.Millisecond)
				_, _ = s.post("/compactor/run", "", nil) // blocks may go that the other one reads
			})
		}
		running.Wait()
		h.verify(t, long, fmt.Sprintf("by who knew it before, after round %d", n))
		fresh := b.reads(t)
		h.verify(t, fresh, fmt.Sprintf("after round %d", n))
		fresh.kill()
	}
	both[0].stop(t)
	both[1].stop(t)
	b.settled(t, h, data[0])
}
