package blocktool

import (
	"context"
	"math"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/symbols"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Inspection is what is in a block.
type Inspection struct {
	Named
	Meta     *block.Meta
	Services []Service
	Profiles int64 // distinct IDs of rows, by service
	// Decoded is about what rows and symbols take in memory, in bytes.
	Decoded int64
}

// Service is what a block has of one service.
type Service struct {
	Service               string
	Series, Rows, Samples int64
	Profiles              int64
	Types                 []string
	Symbols               SymbolCounts
}

// SymbolCounts are sizes of a partition's symbols.
type SymbolCounts struct {
	Stacks, Nodes, Locations, Functions, Strings int
	TextBytes, Bytes                             int64 // of the strings, and of all, in memory
}

// Sizes of rows and samples in memory, as Decoded counts them.
const (
	rowBytes    = 40
	sampleBytes = 12
)

// Inspect reads the numbers and symbols of a block, but no samples.
func Inspect(ctx context.Context, p Place, n Named) (*Inspection, error) {
	b, err := open(ctx, p, n.Tenant, n.ID)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	series, err := b.Select(ctx)
	if err != nil {
		return nil, err
	}
	services, err := b.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	out := &Inspection{Named: n, Meta: b.Meta()}
	for i, service := range services {
		s := Service{Service: service}
		if err := s.read(ctx, b, uint32(i), series); err != nil {
			return nil, err
		}
		out.Services = append(out.Services, s)
		out.Profiles += s.Profiles
		out.Decoded += s.Symbols.Bytes + s.Rows*rowBytes + s.Samples*sampleBytes
	}
	return out, nil
}

func (s *Service) read(ctx context.Context, b *block.Block, index uint32, all []query.Series) error {
	rows, types := map[uint32]bool{}, map[string]bool{}
	for _, one := range all {
		if one.Partition != index {
			continue
		}
		s.Series++
		rows[one.Rows] = true
		if t := one.Labels.Get(profile.LabelProfileType); !types[t] {
			types[t] = true
			s.Types = append(s.Types, t)
		}
	}
	req := query.ScanRequest{Partition: index, TotalsOnly: true, Range: profile.TimeRange{Start: math.MinInt64, End: math.MaxInt64}}
	req.Rows = sortedKeys(rows)
	ids := map[uint64]struct{}{}
	err := b.Scan(ctx, req, func(r *query.Row) error {
		s.Rows++
		s.Samples += int64(r.N)
		ids[r.ID] = struct{}{}
		return nil
	})
	if err != nil {
		return err
	}
	s.Profiles = int64(len(ids))
	table, err := b.Symbols(ctx, index)
	if err != nil {
		return err
	}
	s.Symbols = count(table)
	return nil
}

func count(t *symbols.Table) SymbolCounts {
	c := SymbolCounts{Stacks: len(t.Stacks), Nodes: len(t.Nodes), Locations: len(t.Locations), Functions: len(t.Functions), Strings: len(t.Strings)}
	for _, s := range t.Strings {
		c.TextBytes += int64(len(s))
	}
	c.Bytes = c.TextBytes + int64(len(t.Strings))*16 + int64(len(t.Mappings))*40 + int64(len(t.Functions))*24 +
		int64(len(t.Lines))*16 + int64(len(t.Locations))*24 + int64(len(t.Nodes))*8 + int64(len(t.Stacks))*4
	return c
}
