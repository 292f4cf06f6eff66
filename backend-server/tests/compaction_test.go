package tests

import (
	"flag"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var everyStep = flag.Bool("compactor.every-step", false, "kill the compactor at each of its steps instead of at some")

// compactorFlags make everything a compactor may do due at once: it works when
// it is told to, and what it has replaced stays until the flags say otherwise.
var compactorFlags = []string{"-compactor.after=0s", "-compactor.ranges=1h,24h", "-compactor.max-block-bytes=3KiB", "-compactor.interval=1h", "-validation.reject-older-than=0"}

// ripe fills a bucket with the copies that two ingesters have of a history, in
// small blocks.
func ripe(t *testing.T, dir string) *history {
	t.Helper()
	h := newHistory("compacted", 3*time.Hour)
	one := startReady(t, t.TempDir(), "-storage.filesystem.dir="+dir, "-validation.reject-older-than=0")
	other := startReady(t, t.TempDir(), "-storage.filesystem.dir="+dir, "-validation.reject-older-than=0")
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
func reads(t *testing.T, dir string) *server {
	t.Helper()
	return startReady(t, t.TempDir(), "-target=query-frontend,querier,store-gateway", "-storage.filesystem.dir="+dir)
}

// compacts starts a process that is a compactor and nothing else.
func compacts(t *testing.T, data, dir string, flags ...string) *server {
	t.Helper()
	return startReady(t, data, append(append([]string{"-target=compactor", "-storage.filesystem.dir=" + dir}, compactorFlags...), flags...)...)
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
// times. It reports whether it came to that.
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
			return false
		default:
		}
		if now := looks(dirs...); now != last {
			last = now
			if k--; k == 0 {
				s.kill()
				return true
			}
		}
	}
}

// steps returns the next step to kill at.
func steps(k int) int {
	if *everyStep {
		return k + 1
	}
	return k + 1 + rand.IntN(5)
}

// TestKillWhileCompacting kills the compactor at the first, the second, … change
// that it makes, to the bucket or to its folder. Whatever it leaves holds every
// profile once, and the next one ends it.
func TestKillWhileCompacting(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	h, b := ripe(t, dir), newShelf(t, dir)
	before := len(b.blocks(t))
	long := reads(t, dir)
	h.verify(t, long, "before")
	kills := 0
	for k := 1; ; k = steps(k) {
		s := compacts(t, data, dir)
		require.Empty(t, files(t, filepath.Join(data, "compactor")), "left from before")
		if !killAt(s, k, dir, data) {
			s.stop(t)
			break
		}
		kills++
		h.verify(t, long, fmt.Sprintf("by who knew it before, after a kill at step %d", k))
		fresh := reads(t, dir)
		h.verify(t, fresh, fmt.Sprintf("after a kill at step %d", k))
		fresh.kill()
	}
	require.Greater(t, kills, 4)
	h.settled(t, b, data)
	t.Logf("%d blocks, %d kills", before, kills)
}

// settled has a compactor end what others have begun, and requires that nothing
// is left of it.
func (h *history) settled(t *testing.T, b *shelf, data string) {
	t.Helper()
	b.age(t)
	s := compacts(t, data, b.dir, "-compactor.deletion-delay=0s")
	for range 3 {
		round(t, s)
		fresh := reads(t, b.dir)
		h.verify(t, fresh, "in the end")
		fresh.kill()
	}
	require.Empty(t, files(t, filepath.Join(data, "compactor")))
	b.tidy(t)
	jobs, shards := map[string]bool{}, 0
	for _, m := range b.blocks(t) {
		require.NotNil(t, m.Compaction, "%s", m.ID)
		shards = max(shards, m.Compaction.Shards)
		jobs[time.UnixMilli(int64(m.MinTime)).UTC().Format(time.DateOnly)+m.Compaction.Job.String()] = true
	}
	require.LessOrEqual(t, len(jobs), 2, "one set of blocks a day, of a time that may be of two days")
	require.Greater(t, shards, 1)
	_, profiles := totals(h.values)
	require.EqualValues(t, profiles, b.rows(t))
	require.NoError(t, os.RemoveAll(data))
}

// TestTwoCompactors has two processes compact the same blocks at once, neither
// of which knows of the other.
func TestTwoCompactors(t *testing.T) {
	dir := t.TempDir()
	h, b := ripe(t, dir), newShelf(t, dir)
	long := reads(t, dir)
	h.verify(t, long, "before")
	data := []string{t.TempDir(), t.TempDir()}
	var both []*server
	for _, d := range data {
		both = append(both, compacts(t, d, dir))
	}
	for n := range 3 {
		var running sync.WaitGroup
		for i, s := range both {
			running.Go(func() {
				time.Sleep(time.Duration(i*rand.IntN(20)) * time.Millisecond)
				_, _ = s.post("/compactor/run", "", nil) // blocks may go that the other one reads
			})
		}
		running.Wait()
		h.verify(t, long, fmt.Sprintf("by who knew it before, after round %d", n))
		fresh := reads(t, dir)
		h.verify(t, fresh, fmt.Sprintf("after round %d", n))
		fresh.kill()
	}
	both[0].stop(t)
	both[1].stop(t)
	h.settled(t, b, data[0])
}
