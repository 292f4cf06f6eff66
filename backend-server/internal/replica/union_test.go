package replica_test

import (
	"context"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// pair is a profile of two sample types. They share a row if the second value is
// a multiple of the first.
func pair(id uint64, values ...int64) profile.Record {
	p := &profile.Profile{
		Types:     []profile.ValueType{{Type: "inuse_objects", Unit: "count"}, {Type: "inuse_space", Unit: "bytes"}},
		Strings:   []string{"", "main"},
		Mappings:  make([]profile.Mapping, 1),
		Functions: []profile.Function{{Name: 1}},
		Lines:     []profile.Line{{}},
		Locations: []profile.Location{{LineEnd: 1}},
		Frames:    []uint32{0},
		Samples:   []profile.Sample{{FrameEnd: 1}},
		Values:    values,
		LabelSets: make([][]profile.LabelPair, 1),
	}
	return profile.Record{ID: id, Labels: labels.FromStrings(profile.LabelName, "memory", profile.LabelServiceName, "a"), Time: start + profile.UnixMilli(id), Profile: p, SampleEnd: 1}
}

// units returns a head for each list of records.
func units(t *testing.T, lists ...[]profile.Record) (out []query.Queryable) {
	for _, list := range lists {
		d, err := db.Open(context.Background(), "data/tenant", db.Options{FS: vfs.NewMem()})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		require.Nil(t, d.Append(context.Background(), list))
		v := d.View(everTime)
		t.Cleanup(v.Release)
		out = append(out, v.Units...)
	}
	return out
}

// A row of two series is taken for both, or for none: here the databases agree
// on the one series and differ on the other.
func TestUniteTakesRowsWhole(t *testing.T) {
	both, space := pair(1, 2, 20), pair(2, 0, 30)
	u, err := replica.NewDigester(0).Unite(context.Background(), units(t, []profile.Record{both}, []profile.Record{both, space}))
	require.NoError(t, err)
	totals := map[string]int64{}
	for _, unit := range u.Units {
		series, err := unit.Select(context.Background())
		require.NoError(t, err)
		for _, s := range series {
			require.NoError(t, unit.Scan(context.Background(), query.ScanRequest{Partition: s.Partition, Rows: []uint32{s.Rows}, Range: everTime}, func(r *query.Row) error {
				total := r.Total
				if s.Scaled {
					total *= r.Unit
				}
				totals[s.Labels.Get(profile.LabelType)] += total
				return nil
			}))
		}
	}
	require.Equal(t, map[string]int64{"inuse_objects": 2, "inuse_space": 50}, totals)
	require.EqualValues(t, 2, u.Chosen)
	require.EqualValues(t, 3, u.Shown)
}

// What is shown of a series, and not taken, leaves no trace in the version.
func TestVersionIsOfWhatIsChosen(t *testing.T) {
	// The second source has missed the first hour: its first row may reach over
	// all of it, and is the only one that it has in the second hour.
	hour := uint64(replica.Window / 1000)
	long := []replica.Row{row(1), row(2), row(2*hour + 1), row(2*hour + 2)}
	lone := []replica.Row{{ID: 9, Time: row(hour + 5).Time, Total: 3}}
	want := version([]shown{show(1, true, long)})
	require.Equal(t, want, version([]shown{show(1, true, long), show(2, true, lone)}))
	require.Len(t, choose(t, []shown{show(1, true, long), show(2, true, lone)}), len(long))
}
