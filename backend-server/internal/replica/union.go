package replica

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Union is all that some units have, each profile once: what a block that takes
// their place is made of.
type Union struct {
	// Units hold what was chosen. They are good as long as those that they are
	// made of.
	Units []query.Queryable
	// Version stands for the profiles, see Choice.Version.
	Version [2]uint64
	// Chosen is how many profiles there are, Shown of how many they were chosen.
	Chosen, Shown uint64
	// Lineage are the databases that masks speak of. Where there are more than a
	// mask can hold, those of most counters are in it.
	Lineage []ulid.ULID
	masks   map[Series]uint64
}

// Unite chooses among all that units have. Two series that share rows are chosen
// together: of a row that is taken for one of them the other would be there twice.
// They share it in all units, since it is the profile that says whether its sample
// types are proportional. Running totals share none.
func (d *Digester) Unite(ctx context.Context, units []query.Queryable) (*Union, error) {
	snapshot, err := d.Take(ctx, units, Selection{Range: profile.TimeRange{Start: math.MinInt64, End: math.MaxInt64}, rows: true})
	if err != nil {
		return nil, err
	}
	choice := NewChoice([][]Unit{snapshot.Units()})
	if refs := choice.Ask(); refs != nil {
		rows, err := snapshot.Rows(ctx, refs[0])
		if err != nil {
			return nil, err
		}
		choice.Tell([][][]Row{rows})
	}
	u := new(Union)
	u.Version[0], u.Version[1] = choice.Version()
	u.Chosen, u.Shown = choice.Profiles()
	u.descend(choice.Lineage())
	u.Units, err = snapshot.Pick(choice.Picks()[0])
	return u, err
}

// descend makes masks of the databases that counters are of.
func (u *Union) descend(byCounter map[Series][]ulid.ULID) {
	times := map[ulid.ULID]int{}
	for _, list := range byCounter {
		for _, id := range list {
			times[id]++
		}
	}
	u.Lineage = slices.SortedFunc(maps.Keys(times), func(a, b ulid.ULID) int {
		return cmp.Or(cmp.Compare(times[b], times[a]), a.Compare(b))
	})
	u.Lineage = u.Lineage[:min(len(u.Lineage), query.MaxLineage)]
	u.masks = make(map[Series]uint64, len(byCounter))
	for s, list := range byCounter {
		for _, id := range list {
			if i := slices.Index(u.Lineage, id); i >= 0 {
				u.masks[s] |= 1 << i
			}
		}
	}
}

// Mask says which databases have had exactly the rows that were chosen of a
// series of running totals: a bit for each of Lineage.
func (u *Union) Mask(ls labels.Labels) uint64 { return u.masks[SeriesOf(ls)] }
