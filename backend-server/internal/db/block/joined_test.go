package block_test

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// joined is several inputs as one, each with partitions of its own.
type joined struct{ parts []block.Input }

func (j joined) Origin() query.Origin         { return j.parts[0].Origin() }
func (j joined) TimeRange() profile.TimeRange { return always }

func (j joined) Partitions() (out []string) {
	for _, p := range j.parts {
		out = append(out, p.Partitions()...)
	}
	return out
}

// at returns the input that partition i is of, and its number there.
func (j joined) at(i uint32) (block.Input, uint32) {
	for _, p := range j.parts {
		n := uint32(len(p.Partitions()))
		if i < n {
			return p, i
		}
		i -= n
	}
	panic("no such partition")
}

func (j joined) Select(ctx context.Context, matchers ...*labels.Matcher) (out []query.Series, err error) {
	first := uint32(0)
	for _, p := range j.parts {
		series, err := p.Select(ctx, matchers...)
		if err != nil {
			return nil, err
		}
		for _, s := range series {
			s.Partition += first
			out = append(out, s)
		}
		first += uint32(len(p.Partitions()))
	}
	return out, nil
}

func (j joined) Symbols(ctx context.Context, i uint32) (*symbols.Table, error) {
	in, i := j.at(i)
	return in.Symbols(ctx, i)
}

func (j joined) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	in, i := j.at(req.Partition)
	req.Partition = i
	return in.Scan(ctx, req, fn)
}
