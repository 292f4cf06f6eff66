package replica

import (
	"context"
	"math"

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
	u.Units, err = snapshot.Pick(choice.Picks()[0])
	return u, err
}
