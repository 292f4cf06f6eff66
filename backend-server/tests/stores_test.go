package tests

import (
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/tests/stores"
)

// TestEveryStore runs the server on every object store that is chosen (see
// package stores): what was pushed and shipped is found again by a server that
// has nothing but the bucket.
func TestEveryStore(t *testing.T) {
	stores.Each(t, func(t *testing.T, s stores.Store) {
		flags := append([]string{"-storage.prefix=shared/hearth"}, s.Flags...)
		at := time.Now().Add(-10 * time.Minute).Truncate(time.Millisecond)
		data := t.TempDir()
		first := startReady(t, data, flags...)
		pushAll(t, first, at)
		want := ask(t, first, at)
		require.EqualValues(t, 100+200+300+400+500+600, want.total)
		first.flush(t) // and ship
		require.Equal(t, want, ask(t, first, at), "from local blocks")
		first.stop(t)
		require.NotContains(t, first.output(), "the bucket does not work")

		require.NoError(t, os.RemoveAll(data))
		second := startReady(t, t.TempDir(), flags...)
		require.Equal(t, want, ask(t, second, at), "from the bucket alone")
		second.stop(t)
	})
}

// TestCompactionOnEveryStore has blocks compacted and profiles deleted on every
// object store that is chosen.
func TestCompactionOnEveryStore(t *testing.T) {
	stores.Each(t, func(t *testing.T, s stores.Store) {
		b, h, data := storeShelf(t, s), newHistory("stored", 3*time.Hour), t.TempDir()
		flags := slices.Concat(s.Flags, compactorFlags, []string{"-compactor.deletion-delay=0s"})
		all := startReady(t, data, flags...)
		for range 2 {
			h.push(t, 18, all)
			all.flush(t)
		}
		round(t, all)
		h.everywhere(t, all, "compacted")
		h.push(t, 18, all)
		h.everywhere(t, all, "compacted blocks and a head")
		code, body := all.post("/hearth/v1/deletions?query={pod=%22pod-1%22}&start=0&end=now", "", nil)
		require.Equal(t, http.StatusCreated, code, body)
		require.Positive(t, h.forget("pod-1", h.begin, h.end()))
		h.everywhere(t, all, "deleted")
		all.flush(t)
		for range 2 {
			round(t, all)
			h.everywhere(t, all, "taken out")
		}
		_, profiles := totals(h.values)
		require.EqualValues(t, profiles, b.rows(t), b.list(t))
		all.kill()
		all = startReady(t, data, flags...)
		h.everywhere(t, all, "after a new start")
		h.everywhere(t, b.reads(t), "from the bucket alone")
	})
}

// TestAStoreThatIsAwayOrWrong: the first is no reason not to take in profiles,
// the second is said in a sentence.
func TestAStoreThatIsAwayOrWrong(t *testing.T) {
	away := []string{"-storage.backend=s3", "-storage.s3.insecure", "-storage.s3.bucket=blocks", "-storage.s3.region=r",
		"-storage.s3.endpoint=127.0.0.1:1", "-storage.s3.access-key-id=id", "-storage.s3.secret-access-key=open-sesame"}
	s := start(t, t.TempDir(), away...)
	require.Contains(t, s.output(), "the bucket does not work now")
	require.Contains(t, s.output(), "-storage.s3.endpoint")
	require.Eventually(t, func() bool { return push(t.Context(), s.pusher(), rawSeries(nil, encode(t, time.Now(), 10))) == nil }, 20*time.Second, 20*time.Millisecond)
	_, shown := s.get("/api/v1/status/config")
	require.Contains(t, shown, "<secret>")
	require.NotContains(t, shown+s.output(), "open-sesame")

	code, _, errOut := run(t, "-storage.backend=s3", "-storage.prefix=a//b")
	require.Equal(t, 2, code)
	require.Contains(t, errOut, "-storage.s3.bucket is missing")
	require.Contains(t, errOut, "-storage.prefix")
}
