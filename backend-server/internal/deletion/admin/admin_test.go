package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

const clock = 1_700_000_000_000

// world is an Admin with all that it needs.
type world struct {
	*Admin
	bkt       *objstore.InMemBucket
	announced []string
	deaf      error // what Announce fails with
	blocks    []Block
	mu        sync.Mutex
	asked     []question.Question
	answer    func(q *question.Question) *question.Answer
}

func newWorld() *world {
	w := &world{bkt: objstore.NewInMemBucket()}
	w.Admin = New(Deps{
		Bucket: w.bkt, Asker: w, Now: func() time.Time { return time.UnixMilli(clock) }, Logger: slog.New(slog.DiscardHandler),
		Announce: func(_ context.Context, tenantID string) error {
			w.announced = append(w.announced, tenantID)
			return w.deaf
		},
		Blocks: func(context.Context, string, *deletion.Rule) ([]Block, error) { return w.blocks, nil },
	})
	return w
}

// Ask implements question.Asker.
func (w *world) Ask(ctx context.Context, q *question.Question) (*question.Answer, error) {
	if _, err := tenant.From(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, *q)
	return w.answer(q), nil
}

func as(t *testing.T, id string) context.Context { return tenant.With(t.Context(), id) }

var (
	someone = deletion.Who{Address: "10.0.0.1", By: "eve"}
	api     = Request{Query: `{service_name="api", pod=~"a|b"}`, Start: 5, End: clock, Reason: "asked for"}
)

func kinds(t *testing.T, w *world, id string) (out []string) {
	events, err := w.Audit(as(t, id), ulid.ULID{}, 10)
	require.NoError(t, err)
	for _, e := range events {
		out = append(out, string(e.Kind)+" by "+e.Who.By+" of "+e.Who.Tenant+": "+deletion.Selector(e.Rule.Matchers))
	}
	return out
}

func TestDeletionIsLoggedStoredAndAnnounced(t *testing.T) {
	w := newWorld()
	got, err := w.Delete(as(t, "a"), api, someone)
	require.NoError(t, err)
	require.False(t, got.Existed)
	require.Equal(t, profile.TimeRange{Start: 5, End: clock}, got.Range)
	require.EqualValues(t, clock, got.ID.Time())
	require.Equal(t, []string{"a"}, w.announced)

	again := api
	again.Query, again.Reason = `{pod=~"a|b", service_name="api"}`, "in other words"
	same, err := w.Delete(as(t, "a"), again, someone)
	require.NoError(t, err)
	require.True(t, same.Existed)
	require.Equal(t, got.ID, same.ID)
	require.Equal(t, []string{"a", "a"}, w.announced, "who asks again may have been told that not everybody knows")
	require.Equal(t, []string{`deletion-requested by eve of a: {service_name="api", pod=~"a|b"}`}, kinds(t, w, "a"))

	other := api
	other.End--
	second, err := w.Delete(as(t, "a"), other, someone)
	require.NoError(t, err)
	require.False(t, second.Existed)

	w.blocks = []Block{{Bytes: 10}, {Bytes: 5, Applied: true}, {Bytes: 7}}
	list, err := w.List(as(t, "a"))
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, State{Rule: list[0].Rule, Blocks: 2, Bytes: 17, Known: true}, list[0])
	none, err := w.List(as(t, "b"))
	require.NoError(t, err)
	require.Empty(t, none)

	require.NoError(t, w.TakeBack(as(t, "a"), got.ID, someone))
	list, err = w.List(as(t, "a"))
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Len(t, kinds(t, w, "a"), 3)
	err = w.TakeBack(as(t, "a"), got.ID, someone)
	require.True(t, fault.Is(err, fault.NotFound), err)
	require.Len(t, kinds(t, w, "a"), 3)
	fresh, err := w.Delete(as(t, "a"), api, someone)
	require.NoError(t, err)
	require.NotEqual(t, got.ID, fresh.ID)
}

// When not everybody has been told, that is said, and to repeat the request is
// enough.
func TestSomebodyIsDeaf(t *testing.T) {
	w := newWorld()
	w.deaf = errors.New("store-gateway g1 does not answer")
	_, err := w.Delete(as(t, "a"), api, someone)
	require.True(t, fault.Is(err, fault.Unavailable), err)
	require.ErrorContains(t, err, "the deletion is stored")
	require.ErrorContains(t, err, "repeat the request: store-gateway g1")
	_, err = w.Delete(as(t, "a"), api, someone)
	require.ErrorContains(t, err, "the deletion is in force")
	list, err := w.List(as(t, "a"))
	require.NoError(t, err)
	require.Len(t, list, 1)

	err = w.TakeBack(as(t, "a"), list[0].ID, someone)
	require.True(t, fault.Is(err, fault.Unavailable), err)
	err = w.TakeBack(as(t, "a"), list[0].ID, someone)
	require.True(t, fault.Is(err, fault.Unavailable), "it was not told yet: %v", err)
	w.deaf = nil
	err = w.TakeBack(as(t, "a"), list[0].ID, someone)
	require.True(t, fault.Is(err, fault.NotFound), err)
	require.Len(t, kinds(t, w, "a"), 2)
}

func TestRequestsThatAreRefused(t *testing.T) {
	w := newWorld()
	for want, change := range map[string]func(*Request){
		"query is missing":                          func(r *Request) { r.Query = " " },
		`label selector "{x"`:                       func(r *Request) { r.Query = "{x" },
		"sample types of a profile are deleted tog": func(r *Request) { r.Query = `{__profile_type__="x"}` },
		"must be UTF-8":                             func(r *Request) { r.Query = "{a=\"\xff\"}" },
		"reason has 1001 bytes; limit 1000":         func(r *Request) { r.Reason = strings.Repeat("x", 1001) },
		"end is 1700000000001, which is after now":  func(r *Request) { r.End = clock + 1 },
		"start 6 is after end 5":                    func(r *Request) { r.Start, r.End = 6, 5 },
	} {
		req := api
		change(&req)
		_, err := w.Delete(as(t, "a"), req, someone)
		require.True(t, fault.Is(err, fault.Invalid), "%s: %v", want, err)
		require.ErrorContains(t, err, want)
		_, err = w.Preview(as(t, "a"), req)
		require.ErrorContains(t, err, want)
	}
	for _, limit := range []int{0, 1001} {
		_, err := w.Audit(as(t, "a"), ulid.ULID{}, limit)
		require.True(t, fault.Is(err, fault.Invalid), err)
	}
	_, err := w.Delete(t.Context(), api, someone)
	require.True(t, fault.Is(err, fault.Unauthenticated), err)
	_, err = w.List(t.Context())
	require.True(t, fault.Is(err, fault.Unauthenticated), err)
	require.Empty(t, w.bkt.Objects())
	require.Empty(t, w.announced)
}

func TestEverythingHasToBeSpeltOut(t *testing.T) {
	w := newWorld()
	got, err := w.Delete(as(t, "a"), Request{Query: "{}", Start: 0, End: 5}, someone)
	require.NoError(t, err)
	require.Empty(t, got.Matchers)
	rules, err := deletion.List(t.Context(), w.bkt, "a")
	require.NoError(t, err)
	require.Len(t, rules, 1)
}

func TestLimitOfDeletions(t *testing.T) {
	w := newWorld()
	for i := range MaxRules {
		r := &deletion.Rule{ID: ulid.ULID{1, byte(i >> 8), byte(i)}, Range: profile.TimeRange{End: profile.UnixMilli(i)}}
		require.NoError(t, deletion.Put(t.Context(), w.bkt, "a", r))
	}
	_, err := w.Delete(as(t, "a"), api, someone)
	require.True(t, fault.Is(err, fault.Exhausted), err)
	require.ErrorContains(t, err, "1000 deletions are in force; limit 1000")
	_, err = w.Delete(as(t, "b"), api, someone)
	require.NoError(t, err)
}

// A deletion that cannot be written down is not carried out.
func TestNothingWithoutTheLog(t *testing.T) {
	w := newWorld()
	w.deps.Bucket = noLog{w.bkt}
	_, err := w.Delete(as(t, "a"), api, someone)
	require.ErrorContains(t, err, "audit log of a: no room")
	require.Empty(t, w.bkt.Objects())
	require.Empty(t, w.announced)
}

type noLog struct{ objstore.Bucket }

func (b noLog) Upload(context.Context, string, io.Reader, ...objstore.ObjectUploadOption) error {
	return errors.New("no room")
}

func TestPreviewCountsAndDoesNothing(t *testing.T) {
	const start = clock - 10*day - 5000
	w := newWorld()
	w.blocks = []Block{{Bytes: 10}, {Bytes: 5, Applied: true}}
	w.answer = func(q *question.Question) *question.Answer {
		if q.Kind == question.Stats {
			return &question.Answer{Stats: query.Stats{Ingested: true, Oldest: start, Newest: clock + 3000}}
		}
		out := &question.Answer{Counts: []query.ServiceCount{{Service: "api", Profiles: 100, First: q.Range.Start, Last: q.Range.End, Series: []uint64{1, 2}}}}
		for i := range 25 {
			out.Counts = append(out.Counts, query.ServiceCount{
				Service: fmt.Sprintf("s%02d", i), Profiles: uint64(i + 1), First: q.Range.Start, Last: q.Range.Start, Series: []uint64{uint64(100 + i)},
			})
		}
		return out
	}
	got, err := w.Preview(as(t, "a"), Request{Query: `{service_name="api"}`, Start: 0, End: clock})
	require.NoError(t, err)
	require.Empty(t, w.bkt.Objects())
	require.Empty(t, w.announced)

	parts := w.asked[1:]
	require.Len(t, parts, 11)
	next := profile.UnixMilli(start)
	for _, r := range sorted(parts) {
		require.Equal(t, next, r.Start)
		require.LessOrEqual(t, r.End-r.Start, profile.UnixMilli(day))
		next = r.End + 1
	}
	require.EqualValues(t, clock+1, next)
	require.Equal(t, `service_name="api"`, parts[0].Matchers[0][0].String())

	require.Equal(t, 2+25, got.Series, "each once")
	require.EqualValues(t, 11*(100+25*26/2), got.Profiles)
	require.EqualValues(t, start, got.First)
	require.EqualValues(t, clock, got.Last)
	require.Equal(t, 26, got.AllServices)
	require.Len(t, got.Services, topServices)
	require.Equal(t, []string{"api", "s24"}, []string{got.Services[0].Service, got.Services[1].Service})
	require.Equal(t, []any{1, int64(10), true}, []any{got.Blocks, got.Bytes, got.Known})
	require.False(t, got.Existed)

	_, err = w.Delete(as(t, "a"), api, someone)
	require.NoError(t, err)
	got, err = w.Preview(as(t, "a"), api)
	require.NoError(t, err)
	require.True(t, got.Existed)

	w.answer = func(*question.Question) *question.Answer { return &question.Answer{} }
	got, err = w.Preview(as(t, "a"), api)
	require.NoError(t, err)
	require.Zero(t, got.Profiles)
}

func sorted(qs []question.Question) (out []profile.TimeRange) {
	for _, q := range qs {
		out = append(out, q.Range)
	}
	slices.SortFunc(out, func(a, b profile.TimeRange) int { return cmp.Compare(a.Start, b.Start) })
	return out
}

// However long a time is asked about, it is counted in few parts.
func TestPartsAreFew(t *testing.T) {
	for _, length := range []profile.UnixMilli{0, day, 100 * day, 199 * day, 1000 * day, 100_000 * day} {
		got := parts(profile.TimeRange{Start: 12345, End: 12345 + length})
		require.LessOrEqual(t, len(got), most+1)
		require.EqualValues(t, 12345, got[0].Start)
		require.EqualValues(t, 12345+length, got[len(got)-1].End)
	}
	require.Empty(t, parts(profile.TimeRange{Start: 2, End: 1}))
}

// A deletion that cannot be read keeps a tenant's data from being shown, so it
// can be taken back.
func TestABrokenDeletionIsTakenBack(t *testing.T) {
	w := newWorld()
	got, err := w.Delete(as(t, "a"), api, someone)
	require.NoError(t, err)
	require.NoError(t, w.bkt.Upload(t.Context(), "a/deletions/"+got.ID.String()+".json", strings.NewReader(`{"version":99}`)))
	_, err = w.List(as(t, "a"))
	require.True(t, deletion.Unreadable(err), "%v", err)
	require.NoError(t, w.TakeBack(as(t, "a"), got.ID, someone))
	list, err := w.List(as(t, "a"))
	require.NoError(t, err)
	require.Empty(t, list)
}
