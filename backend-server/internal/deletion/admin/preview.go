package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
)

// Preview is what a deletion would do now, to what no other has deleted.
type Preview struct {
	deletion.Rule // without an ID
	// Existed says that a deletion of this selector and range is in force.
	Existed  bool
	Series   int    // of one profile type each
	Profiles uint64 // see query.ServiceCount
	// First and Last are the times of the first and the last of them, if there
	// are any.
	First, Last profile.UnixMilli
	// Services are those with the most profiles; AllServices is how many there
	// are.
	Services    []query.ServiceCount
	AllServices int
	// Blocks and Bytes are what of the bucket may have some of them; Known says
	// whether they are known.
	Blocks int
	Bytes  int64
	Known  bool
}

const (
	topServices = 20
	// atOnce is how many questions are asked at a time.
	atOnce = 4
	// day is the shortest time that is counted at once, in milliseconds, and most
	// how many such times there are at most.
	day  = 24 * 60 * 60 * 1000
	most = 200
	// endOfTime is the last millisecond of the year 9999.
	endOfTime profile.UnixMilli = 253_402_300_799_999
)

// Preview says what Delete would do, and does nothing.
func (a *Admin) Preview(ctx context.Context, req Request) (*Preview, error) {
	id, r, err := a.check(ctx, req)
	if err != nil {
		return nil, err
	}
	rules, err := deletion.List(ctx, a.deps.Bucket, id)
	if err != nil {
		return nil, err
	}
	out := &Preview{Rule: *r, Existed: slices.ContainsFunc(rules, func(o deletion.Rule) bool { return same(&o, r) })}
	counts, err := a.count(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("count what would be deleted: %w", err)
	}
	out.add(counts)
	blocks, known, err := a.blocks(ctx, id, r)
	if err != nil {
		return nil, err
	}
	out.Blocks, out.Bytes, out.Known = len(blocks), size(blocks), known
	return out, nil
}

func (p *Preview) add(counts []query.ServiceCount) {
	for i, c := range counts {
		p.Series += len(c.Series)
		p.Profiles += c.Profiles
		if i == 0 {
			p.First, p.Last = c.First, c.Last
		}
		p.First, p.Last = min(p.First, c.First), max(p.Last, c.Last)
	}
	slices.SortFunc(counts, func(a, b query.ServiceCount) int {
		return cmp.Or(cmp.Compare(b.Profiles, a.Profiles), strings.Compare(a.Service, b.Service))
	})
	p.AllServices, p.Services = len(counts), counts[:min(len(counts), topServices)]
}

// count counts the profiles that a rule would delete, in parts of the time that
// there are profiles of.
func (a *Admin) count(ctx context.Context, r *deletion.Rule) ([]query.ServiceCount, error) {
	stats, err := a.deps.Asker.Ask(ctx, &question.Question{Kind: question.Stats, Range: profile.TimeRange{Start: 0, End: endOfTime}})
	if err != nil || !stats.Stats.Ingested {
		return nil, err
	}
	in := profile.TimeRange{Start: max(r.Range.Start, stats.Stats.Oldest), End: min(r.Range.End, stats.Stats.Newest)}
	whole := question.Question{Kind: question.Count, Matchers: [][]*labels.Matcher{r.Matchers}, Range: in}
	ranges := parts(in)
	answers := make([]*question.Answer, len(ranges))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := range ranges {
		g.Go(func() (err error) {
			q := whole
			q.Range = ranges[i]
			answers[i], err = a.deps.Asker.Ask(ctx, &q)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	sum, err := question.Merge(&whole, answers)
	if err != nil {
		return nil, err
	}
	return sum.Counts, nil
}

// parts cuts a range at whole days.
func parts(in profile.TimeRange) (out []profile.TimeRange) {
	length := (1 + (in.End-in.Start)/(most*day)) * day
	for at := in.Start; at <= in.End; {
		end := min(in.End, at-at%length+length-1)
		out = append(out, profile.TimeRange{Start: at, End: end})
		at = end + 1
	}
	return out
}
