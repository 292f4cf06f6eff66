package buckettest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"
)

func put(t *testing.T, b objstore.Bucket, name, content string) {
	t.Helper()
	require.NoError(t, b.Upload(t.Context(), name, strings.NewReader(content)))
}

func content(t *testing.T, b objstore.BucketReader, name string) string {
	t.Helper()
	r, err := b.Get(t.Context(), name)
	require.NoError(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(got)
}

func listed(t *testing.T, b objstore.BucketReader, dir string, o ...objstore.IterOption) (names []string) {
	t.Helper()
	require.NoError(t, b.Iter(t.Context(), dir, func(name string) error { names = append(names, name); return nil }, o...))
	return names
}

// TestWithoutFaultsItIsABucket runs objstore's own specification, with a rule
// that does nothing and a lag that is nearly none.
func TestWithoutFaultsItIsABucket(t *testing.T) {
	nothing := func(Call) Fault { return Fault{} }
	objstore.AcceptanceTest(t, New(objstore.NewInMemBucket(), Lag{}, nothing))
}

func TestMomentsOfAFailure(t *testing.T) {
	truth := objstore.NewInMemBucket()
	b := New(truth, Lag{})
	for when, want := range map[When]string{Before: "", Torn: "0123", After: "01234567"} {
		failing := true
		b.Use(FailOn(when, func(c Call) bool { return failing && c.Op == Upload && c.Name == "a" }))
		require.ErrorIs(t, b.Upload(t.Context(), "a", strings.NewReader("01234567")), ErrInjected)
		require.Equal(t, want, string(truth.Objects()["a"]))
		failing = false
		put(t, b, "a", "again")
		require.Equal(t, "again", content(t, b, "a"))
		require.NoError(t, b.Delete(t.Context(), "a"))
	}
	put(t, b, "a", "x")
	for _, when := range []When{Before, Torn} {
		b.Use(FailOn(when, func(c Call) bool { return c.Op == Delete }))
		require.ErrorIs(t, b.Delete(t.Context(), "a"), ErrInjected)
		require.Len(t, truth.Objects(), 1)
	}
	b.Use(FailOn(After, func(Call) bool { return true }))
	_, err := b.Get(t.Context(), "a")
	require.ErrorIs(t, err, ErrInjected, "a read has no halves")
	require.ErrorIs(t, b.Delete(t.Context(), "a"), ErrInjected)
	require.Empty(t, truth.Objects())
}

func TestLuckIsTheSeed(t *testing.T) {
	outcome := func(seed uint64, order []string) map[string]string {
		b := New(objstore.NewInMemBucket(), Lag{}, Sometimes(seed, 0.5, Upload))
		out := map[string]string{}
		for _, name := range order {
			out[name] += "+"
			if err := b.Upload(context.Background(), name, strings.NewReader("x")); err != nil {
				out[name] += "-"
			}
			require.Empty(t, b.Stats().Calls[Get])
		}
		return out
	}
	forth, back := strings.Split("abcabcdefghabc", ""), strings.Split("cbahgfedcbacba", "")
	require.Equal(t, outcome(1, forth), outcome(1, back), "T1")
	require.NotEqual(t, outcome(1, forth), outcome(2, forth))
}

func TestListingsLag(t *testing.T) {
	b := New(objstore.NewInMemBucket(), Lag{List: 3})
	put(t, b.Bucket, "dir/old", "x")
	put(t, b, "dir/sub/new", "y")
	require.Equal(t, []string{"dir/old"}, listed(t, b, "dir"))
	require.Equal(t, "y", content(t, b, "dir/sub/new"), "reads know it")
	require.Equal(t, []string{"dir/old"}, listed(t, b, "dir/"))
	require.Equal(t, []string{"dir/old", "dir/sub/"}, listed(t, b, "dir"))
	require.Equal(t, []string{"dir/"}, listed(t, b, ""))
	require.Equal(t, []string{"dir/old", "dir/sub/new"}, listed(t, b, "dir", objstore.WithRecursiveIter()))

	put(t, b, "dir/old", "overwritten")
	require.Contains(t, listed(t, b, "dir"), "dir/old")
	require.NoError(t, b.Delete(t.Context(), "dir/old"))
	for range 3 {
		require.Contains(t, listed(t, b, "dir"), "dir/old")
	}
	require.NotContains(t, listed(t, b, "dir"), "dir/old")
	_, err := b.Get(t.Context(), "dir/old")
	require.True(t, b.IsObjNotFoundErr(err))
}

func TestReadsLag(t *testing.T) {
	b := New(objstore.NewInMemBucket(), Lag{Read: 2})
	put(t, b, "a", "x")
	there, err := b.Exists(t.Context(), "a")
	require.NoError(t, err)
	require.False(t, there)
	_, err = b.GetRange(t.Context(), "a", 0, 1)
	require.True(t, b.IsObjNotFoundErr(err), "%v", err)
	require.Equal(t, "x", content(t, b, "a"))
}

func TestCounts(t *testing.T) {
	b := New(objstore.NewInMemBucket(), Lag{})
	put(t, b, "a", "0123456789")
	require.Equal(t, "0123456789", content(t, b, "a"))
	r, err := b.GetRange(t.Context(), "a", 2, 3)
	require.NoError(t, err)
	_, err = io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, Stats{Calls: map[Op]int{Upload: 1, Get: 1, GetRange: 1}, Mutations: 1, Uploaded: 10, Read: 13}, b.Stats())
	b.ResetStats()
	require.Zero(t, b.Stats().Read)
}

func TestEveryCrash(t *testing.T) {
	var states []string
	EveryCrash(t, func(t *testing.T, b *Bucket) {
		put(t, b.Bucket, "before", "1")
		err := errors.Join(b.Upload(t.Context(), "a", strings.NewReader("12")), b.Delete(t.Context(), "before"))
		require.Equal(t, b.Crashed(), errors.Is(err, ErrCrashed))
		b.Restart()
		state := ""
		for _, name := range listed(t, b, "") {
			state += name + content(t, b, name) + " "
		}
		states = append(states, state)
	})
	require.Equal(t, []string{
		"before1 ", "a1 before1 ", "a12 before1 ",
		"a12 before1 ", "a12 before1 ", "a12 ",
		"a12 ", "a12 ", "a12 ",
	}, states)
}

func TestAnEndedContextIsNoCall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := New(objstore.NewInMemBucket(), Lag{}, Slowly(1, 0))
	require.ErrorIs(t, b.Upload(ctx, "a", strings.NewReader("")), context.Canceled)
	require.Empty(t, b.Stats().Calls)
}
