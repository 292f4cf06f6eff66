package deletion_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

func storedRule(id byte) *deletion.Rule {
	return &deletion.Rule{
		ID: ulid.ULID{0, id},
		Matchers: []*labels.Matcher{
			equals("service.name", `a"b`), labels.MustNewMatcher(labels.MatchNotEqual, "b", ""),
			labels.MustNewMatcher(labels.MatchRegexp, "c", "x|y.*"), labels.MustNewMatcher(labels.MatchNotRegexp, "d", "[0-9]+"),
		},
		Except:  [][]*labels.Matcher{{equals("env", "prod")}, {equals("env", "test")}},
		Range:   profile.TimeRange{Start: deletion.BeginningOfTime, End: 1_700_000_000_123},
		Created: now, Reason: "asked for",
	}
}

// requireSame compares rules by all they hold; matchers by their text.
func requireSame(t *testing.T, want, got *deletion.Rule) {
	t.Helper()
	text := func(r *deletion.Rule) (out []string) {
		for _, ms := range append([][]*labels.Matcher{r.Matchers}, r.Except...) {
			out = append(out, deletion.Selector(ms))
		}
		return append(out, r.ID.String(), r.Reason, r.Created.UTC().String())
	}
	require.Equal(t, text(want), text(got))
	require.Equal(t, want.Range, got.Range)
}

func TestStoredDeletionsAreReadBack(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	rules, err := deletion.List(ctx, bkt, "a")
	require.NoError(t, err)
	require.Empty(t, rules)
	everything := &deletion.Rule{ID: ulid.ULID{0, 1}, Range: profile.TimeRange{End: 5}, Created: now}
	require.NoError(t, deletion.Put(ctx, bkt, "a", storedRule(2)))
	require.NoError(t, deletion.Put(ctx, bkt, "a", everything))
	require.NoError(t, deletion.Put(ctx, bkt, "b", storedRule(3)))
	require.NoError(t, bkt.Upload(ctx, "a/deletions/notes.txt", strings.NewReader("x")))

	rules, err = deletion.List(ctx, bkt, "a")
	require.NoError(t, err)
	require.Len(t, rules, 2)
	requireSame(t, everything, &rules[0])
	requireSame(t, storedRule(2), &rules[1])

	require.NoError(t, deletion.Remove(ctx, bkt, "a", ulid.ULID{0, 2}))
	err = deletion.Remove(ctx, bkt, "a", ulid.ULID{0, 2})
	require.True(t, fault.Is(err, fault.NotFound), err)
	rules, err = deletion.List(ctx, bkt, "a")
	require.NoError(t, err)
	require.Len(t, rules, 1)
}

func TestWhatCannotBeStoredIsRefused(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	for want, change := range map[string]func(*deletion.Rule){
		"start 10 is after end 5": func(r *deletion.Rule) { r.Range = profile.TimeRange{Start: 10, End: 5} },
		"reaches beyond":          func(r *deletion.Rule) { r.Range.End = 1 << 61 },
		"matcher on __unit__":     func(r *deletion.Rule) { r.Except[1] = []*labels.Matcher{equals(profile.LabelUnit, "x")} },
		"not UTF-8":               func(r *deletion.Rule) { r.Matchers[0] = equals("a", "\xff") },
	} {
		r := storedRule(1)
		change(r)
		err := deletion.Put(ctx, bkt, "a", r)
		require.True(t, fault.Is(err, fault.Invalid), err)
		require.ErrorContains(t, err, want)
	}
	require.Empty(t, bkt.Objects())
}

// No rule is read as another one, and none is passed over.
func TestRulesThatCannotBeReadAreAnError(t *testing.T) {
	raw, err := deletion.MarshalRule(storedRule(1))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		from, to string
		kind     fault.Kind
		want     string
	}{
		"version":  {`"version":1`, `"version":2`, fault.Unimplemented, "version 2"},
		"none":     {`"version":1`, `"versions":1`, fault.Unimplemented, "version 0"},
		"field":    {`"start"`, `"begin"`, fault.Corrupt, "begin"},
		"matcher":  {`"=~"`, `"=~~"`, fault.Corrupt, `matchers of type "=~~"`},
		"regexp":   {`x|y.*`, `(`, fault.Corrupt, `label "c"`},
		"label":    {`"env"`, `"__type__"`, fault.Corrupt, "__type__"},
		"matchers": {`"matchers":[`, `"except":[],"matchers":null,"x":[`, fault.Corrupt, "unknown field"},
		"range":    {`"end":1700000000123`, `"end":-2000000000000000000`, fault.Corrupt, "is after end"},
		"json":     {`{`, `[`, fault.Corrupt, "json"},
		"other":    {`"id":"0004`, `"id":"0005`, fault.Corrupt, "it says that it is 0005"},
	} {
		require.Contains(t, string(raw), c.from, name)
		bkt := objstore.NewInMemBucket()
		id := ulid.ULID{0, 1}
		changed := strings.Replace(string(raw), c.from, c.to, 1)
		require.NoError(t, bkt.Upload(ctx, "a/deletions/"+id.String()+".json", strings.NewReader(changed)))
		_, err := deletion.List(ctx, bkt, "a")
		require.Equal(t, c.kind, fault.KindOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, c.want, name)
		require.ErrorContains(t, err, "a/deletions/"+id.String(), name)
	}
	_, err = deletion.UnmarshalRule([]byte(`{"version":1,"id":"00000000000000000000000000","start":1,"end":2,"created":"2026-01-01T00:00:00Z"}`))
	require.ErrorContains(t, err, "no list of matchers", "which would be everything")
}

func TestAuditLog(t *testing.T) {
	bkt := objstore.NewInMemBucket()
	events := []deletion.Event{
		{Time: now, Kind: deletion.DeletionRequested, Who: deletion.Who{Tenant: "a", Address: "10.0.0.1", By: "eve"}, Rule: storedRule(1), Reason: "asked for"},
		{Time: now.Add(time.Minute), Kind: deletion.BlockRewritten, Blocks: []ulid.ULID{{1}, {2}}, Profiles: 7},
		{Time: now.Add(time.Hour), Kind: deletion.RetentionEnforced},
	}
	for _, i := range []int{1, 0, 2} {
		require.NoError(t, deletion.Append(ctx, bkt, "a", events[i]))
	}
	got, err := deletion.Events(ctx, bkt, "a", ulid.ULID{}, 10)
	require.NoError(t, err)
	require.Len(t, got, 3)
	for i, e := range got {
		want := events[2-i]
		if want.Rule != nil {
			requireSame(t, want.Rule, e.Rule)
			want.Rule = e.Rule
		}
		want.ID = e.ID
		require.Equal(t, want, e)
	}
	latest, err := deletion.Events(ctx, bkt, "a", ulid.ULID{}, 1)
	require.NoError(t, err)
	require.Equal(t, got[:1], latest)
	earlier, err := deletion.Events(ctx, bkt, "a", got[0].ID, 1)
	require.NoError(t, err)
	require.Equal(t, got[1:2], earlier)
	for _, limit := range []int{0, -1} {
		none, err := deletion.Events(ctx, bkt, "a", ulid.ULID{}, limit)
		require.NoError(t, err)
		require.Empty(t, none)
	}
	other, err := deletion.Events(ctx, bkt, "b", ulid.ULID{}, 10)
	require.NoError(t, err)
	require.Empty(t, other)

	require.NoError(t, bkt.Upload(ctx, "a/audit/"+ulid.ULID{1}.String()+".json", strings.NewReader(`{"version":3}`)))
	_, err = deletion.Events(ctx, bkt, "a", ulid.ULID{}, 10)
	require.True(t, fault.Is(err, fault.Unimplemented), err)
}

func FuzzRule(f *testing.F) {
	raw, err := deletion.MarshalRule(storedRule(1))
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte(`{"version":1,"id":"00000000000000000000000000","matchers":[],"start":1,"end":2,"created":"2026-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := deletion.UnmarshalRule(raw)
		if err != nil {
			require.NotEqual(t, fault.Unknown, fault.KindOf(err))
			return
		}
		require.NoError(t, r.Check())
		again, err := deletion.MarshalRule(r)
		require.NoError(t, err)
		back, err := deletion.UnmarshalRule(again)
		require.NoError(t, err)
		requireSame(t, r, back)
		third, err := deletion.MarshalRule(back)
		require.NoError(t, err)
		require.True(t, bytes.Equal(again, third))
	})
}
