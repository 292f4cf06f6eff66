package compactor

import (
	"bytes"
	"context"
	"log/slog"
	"path"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/catalog"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

const shop = "shop"

// yard is a bucket with blocks of which only the meta file is good, and a
// compactor that has none to compact.
type yard struct {
	objstore.Bucket
	*Compactor
	now   time.Time
	rules Rules
}

func newYard(t *testing.T) *yard {
	y := &yard{Bucket: objstore.NewInMemBucket(), now: time.Now()}
	cfg := Config{DeletionDelay: time.Hour, PartialAfter: 48 * time.Hour, After: 1 << 60}
	cfg.Ranges.Values = []string{"1h"}
	var err error
	y.Compactor, err = New(cfg, Deps{
		Bucket: y, Dir: t.TempDir(), Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		Now:   func() time.Time { return y.now },
		Rules: func(context.Context, string) (Rules, error) { return y.rules, nil },
	})
	require.NoError(t, err)
	return y
}

func (y *yard) name(m *block.Meta, file string) string {
	return path.Join(shop, "blocks", m.ID.String(), file)
}

// add adds a block that takes the place of others.
func (y *yard) add(t *testing.T, inputs ...ulid.ULID) *block.Meta {
	m := &block.Meta{Version: block.Version, ID: ulid.Make(), MinTime: 1, MaxTime: 2, Files: []block.File{{Name: block.DataFile, Size: 4}}}
	m.Stats.Rows = 1
	if len(inputs) > 0 {
		m.Compaction = &block.Compaction{Job: ulid.Make(), Inputs: inputs, Level: 1, Shards: 1}
	}
	raw, err := m.Marshal()
	require.NoError(t, err)
	require.NoError(t, y.Upload(t.Context(), y.name(m, block.DataFile), bytes.NewReader([]byte("data"))))
	require.NoError(t, y.Upload(t.Context(), y.name(m, block.MetaFile), bytes.NewReader(raw)))
	return m
}

func (y *yard) has(t *testing.T, m *block.Meta) bool {
	there, err := y.Exists(t.Context(), y.name(m, block.DataFile))
	require.NoError(t, err)
	return there
}

// later makes a round some time later.
func (y *yard) later(t *testing.T, d time.Duration) {
	y.now = y.now.Add(d)
	require.NoError(t, y.tenant(t.Context(), shop))
}

func everything() Rules {
	return Rules{Retention: deletion.Rules{{Range: profile.TimeRange{Start: deletion.BeginningOfTime, End: 1000}}}}
}

func TestWhatIsDeletedIsRemoved(t *testing.T) {
	y := newYard(t)
	m := y.add(t)
	y.rules = everything()
	y.later(t, 0)
	require.True(t, y.has(t, m))
	y.later(t, time.Hour)
	require.False(t, y.has(t, m))
	idx, err := catalog.ReadIndex(t.Context(), y, shop)
	require.NoError(t, err)
	require.Empty(t, idx.Blocks)
	require.Len(t, idx.Erased, 1)
}

// Settings of retention that were wrong for a while, or a deletion that is taken
// back, must not remove what is shown again.
func TestWhatIsNotDeletedAnyMoreIsKept(t *testing.T) {
	y := newYard(t)
	m := y.add(t)
	y.rules = everything()
	y.later(t, 0)
	y.rules = Rules{}
	y.later(t, time.Hour)
	require.True(t, y.has(t, m))
	idx, err := catalog.ReadIndex(t.Context(), y, shop)
	require.NoError(t, err)
	require.Len(t, idx.Blocks, 1)
	require.Empty(t, idx.Erased)
	marked, err := catalog.Marked(t.Context(), y, shop)
	require.NoError(t, err)
	require.Empty(t, marked)

	y.rules = everything()
	y.later(t, 0)
	y.later(t, time.Hour)
	require.False(t, y.has(t, m))
}

func TestWhatLeftNothingMustBeInForce(t *testing.T) {
	name := map[string]int64{ruleName(&deletion.Rule{}, true): 500}
	require.True(t, everything().inForce(name))
	require.False(t, Rules{}.inForce(name))
	require.False(t, everything().inForce(nil))
	require.False(t, everything().inForce(map[string]int64{ruleName(&deletion.Rule{}, true): 1001}))
	require.Equal(t, map[string]int64{ruleName(&deletion.Rule{}, true): 1000}, everything().about(profile.TimeRange{Start: 1, End: 2}))
	require.Empty(t, everything().about(profile.TimeRange{Start: 1001, End: 1002}))
}

// What others have taken the place of is all there is if one of these is broken.
func TestInputsAreKeptIfOutputsAreNotWhole(t *testing.T) {
	y := newYard(t)
	input := y.add(t)
	output := y.add(t, input.ID)
	y.later(t, 0)
	require.NoError(t, y.Delete(t.Context(), y.name(output, block.DataFile)))
	y.later(t, time.Hour)
	require.True(t, y.has(t, input))

	require.NoError(t, y.Upload(t.Context(), y.name(output, block.DataFile), bytes.NewReader([]byte("data"))))
	y.later(t, 0)
	require.False(t, y.has(t, input))
	require.True(t, y.has(t, output))
}

// A mark of a block that a round does not see says nothing of those that have
// taken its place: a listing may lag, and the meta file be of a later version.
func TestMarksAloneRemoveNothing(t *testing.T) {
	y := newYard(t)
	m := y.add(t)
	require.NoError(t, y.Upload(t.Context(), y.name(m, block.MetaFile), bytes.NewReader([]byte("{}"))))
	require.NoError(t, catalog.WriteMark(t.Context(), y, shop, catalog.Mark{Block: m.ID, At: y.now}))
	y.later(t, time.Hour)
	require.True(t, y.has(t, m))
}

// An upload may end while a round is under way, and clocks may differ.
func TestAnUploadThatHasEndedMeanwhileIsKept(t *testing.T) {
	y := newYard(t)
	whole, partial := y.add(t), y.add(t)
	require.NoError(t, y.Delete(t.Context(), y.name(partial, block.MetaFile)))
	y.now = y.now.Add(72 * time.Hour)
	require.NoError(t, y.cleanPartial(t.Context(), &state{tenant: shop, partial: []ulid.ULID{whole.ID, partial.ID}}))
	require.True(t, y.has(t, whole))
	require.False(t, y.has(t, partial))
}

// fragile fails to delete data.
type fragile struct{ objstore.Bucket }

func (f fragile) Delete(ctx context.Context, name string) error {
	if path.Base(name) == block.DataFile {
		return context.DeadlineExceeded
	}
	return f.Bucket.Delete(ctx, name)
}

// A compactor that dies in the middle leaves no index with a block that is not
// there: gateways would ask for it.
func TestRemovalThatIsCutOff(t *testing.T) {
	y := newYard(t)
	m := y.add(t)
	y.rules = everything()
	y.later(t, 0)
	y.now = y.now.Add(time.Hour)
	y.deps.Bucket = fragile{y}
	require.Error(t, y.tenant(t.Context(), shop))
	_, err := bucket.Meta(t.Context(), y, shop, m.ID)
	require.Error(t, err)
	idx, err := catalog.ReadIndex(t.Context(), y, shop)
	require.NoError(t, err)
	require.Empty(t, idx.Blocks)

	y.deps.Bucket = y
	y.later(t, 0)
	require.False(t, y.has(t, m))
	marked, err := catalog.Marked(t.Context(), y, shop)
	require.NoError(t, err)
	require.Empty(t, marked)
}
