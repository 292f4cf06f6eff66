package querier

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/replica"
)

// Alone reads what the process has itself. The same profiles may be there
// twice: a block lies on an ingester's disk and in the bucket, and for a moment
// both a head and the block that was made from it can be seen. So units are
// sorted out first:
//
//	D1  of units with the same ID the first one stays; stores are asked in
//	    order, so that is the one of the earlier store;
//	D2  a unit whose Parent is the ID of another unit is left out: the head has
//	    all the block has, or more;
//	D3  what is left is handed to the engine in the order in which it came.
//
// A store is asked after all stores before it have answered. Data moves from
// earlier stores to later ones, never back, and a store that gives data up has
// the next one hold it first: what an early store no longer shows, a later one
// asked afterwards does.
//
// What is deleted is left out of the units that remain (package deletion).
//
// If units of several databases are left, which the bucket of a cluster has,
// they are dealt with as replicas.
type Alone struct {
	engine Engine
	stores []replica.View
	rules  func(tenantID string) deletion.Rules // nil for none
}

// NewAlone returns a reader of the given stores: the one that data comes to
// first goes first.
func NewAlone(e Engine, stores ...replica.View) *Alone {
	return &Alone{engine: e, stores: stores}
}

// Without has the reader leave out what is deleted: rules tells the rules that
// are in force. It is called before the reader is used, and returns it.
func (a *Alone) Without(rules func(tenantID string) deletion.Rules) *Alone {
	a.rules = rules
	return a
}

// Read implements Reader.
func (a *Alone) Read(ctx context.Context, tenantID string, q *question.Question) (*question.Answer, error) {
	answer, err := a.read(ctx, tenantID, q)
	if fault.Is(err, fault.NotFound) { // a block was removed after others had taken its place
		answer, err = a.read(ctx, tenantID, q)
	}
	return answer, err
}

func (a *Alone) read(ctx context.Context, tenantID string, q *question.Question) (*question.Answer, error) {
	units, release, err := a.view(ctx, tenantID, q)
	defer release()
	if err != nil {
		return nil, err
	}
	if !q.Kind.Sums() || !q.WantVersion && sources(units) < 2 {
		return question.Over(ctx, a.engine.Engine, tenantID, units, q)
	}
	free, units := apart(units, q)
	snapshot, err := a.engine.Take(ctx, units, replica.Selection{Matchers: q.RowMatchers(), Range: q.Interval()})
	if err != nil {
		return nil, err
	}
	choice := replica.NewChoice([][]replica.Unit{snapshot.Units()})
	if refs := choice.Ask(); refs != nil {
		rows, err := snapshot.Rows(ctx, refs[0])
		if err != nil {
			return nil, err
		}
		choice.Tell([][][]replica.Row{rows})
	}
	version := versionOf(choice)
	if q.WantVersion && version == q.Known {
		return &question.Answer{Version: version, Unchanged: true}, nil
	}
	picked, err := snapshot.Pick(choice.Picks()[0])
	if err != nil {
		return nil, err
	}
	answer, err := question.Over(ctx, a.engine.Engine, tenantID, slices.Concat(free, picked), q)
	if err == nil && q.WantVersion {
		answer.Version = version
	}
	return answer, err
}

func versionOf(c *replica.Choice) question.Version {
	hi, lo := c.Version()
	return question.Version{Hi: hi, Lo: lo}
}

// view opens the data of all stores. What it returns must be released whether
// or not there is an error.
func (a *Alone) view(ctx context.Context, tenantID string, q *question.Question) ([]query.Queryable, func(), error) {
	var units []query.Queryable
	var held []func()
	release := func() {
		for _, r := range held {
			r()
		}
	}
	for _, view := range a.stores {
		some, done, err := view(ctx, tenantID, q)
		if done != nil {
			held = append(held, done)
		}
		if err != nil {
			return nil, release, fmt.Errorf("open data: %w", err)
		}
		units = append(units, some...)
	}
	units = distinct(units)
	if a.rules == nil {
		return units, release, nil
	}
	if q.Kind.Sums() {
		return a.rules(tenantID).Over(units), release, nil
	}
	return a.rules(tenantID).Listed(units, q.Interval()), release, nil
}

// distinct sorts out units that hold the same profiles.
func distinct(units []query.Queryable) []query.Queryable {
	present := make(map[ulid.ULID]bool, len(units))
	for _, u := range units {
		present[u.Origin().ID] = true
	}
	out := make([]query.Queryable, 0, len(units))
	taken := make(map[ulid.ULID]bool, len(units))
	for _, u := range units {
		origin := u.Origin()
		if taken[origin.ID] || origin.Parent != (ulid.ULID{}) && present[origin.Parent] {
			continue
		}
		taken[origin.ID] = true
		out = append(out, u)
	}
	return out
}

// sources counts the databases that units come from. Blocks from before there
// were sources count as one more.
func sources(units []query.Queryable) int {
	seen := map[ulid.ULID]bool{}
	for _, u := range units {
		seen[u.Origin().Source] = true
	}
	return len(seen)
}

// apart splits units into those of times of which only one database has
// something, none of which need be looked at for copies, and the others. Blocks
// that were compacted are mostly of the first kind: the long past costs nothing.
// What a running total grew by may reach from one block into another, and
// versions are made of all there is; then all are others.
func apart(units []query.Queryable, q *question.Question) (free, others []query.Queryable) {
	if q.WantVersion || !q.Kind.Typed() || q.Selection.Type.MayCount() {
		return nil, units
	}
	units = slices.Clone(units)
	window := func(u query.Queryable) (first, last int64) {
		r := u.TimeRange()
		return query.WindowOf(r.Start), query.WindowOf(r.End)
	}
	slices.SortStableFunc(units, func(a, b query.Queryable) int {
		x, _ := window(a)
		y, _ := window(b)
		return cmp.Compare(x, y)
	})
	for len(units) > 0 {
		_, end := window(units[0])
		n := 1
		for ; n < len(units); n++ {
			first, last := window(units[n])
			if first > end {
				break
			}
			end = max(end, last)
		}
		if sources(units[:n]) == 1 {
			free = append(free, units[:n]...)
		} else {
			others = append(others, units[:n]...)
		}
		units = units[n:]
	}
	return free, others
}
