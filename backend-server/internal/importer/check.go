package importer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// check reads blocks that were made of a spool and compares them with what was
// read of the foreign block (I4): the number of profiles and the sum of all
// values, by series.
func check(ctx context.Context, dir string, made []*block.Meta, s *spool, want []tally) error {
	byLabels := map[string]uint32{}
	for _, one := range s.series {
		byLabels[string(one.Labels.Bytes(nil))] = one.Rows
	}
	found := make([]tally, len(want))
	for _, meta := range made {
		if err := count(ctx, filepath.Join(dir, meta.ID.String()), byLabels, found); err != nil {
			return fmt.Errorf("check of block %s: %w", meta.ID, err)
		}
	}
	for _, one := range s.series {
		if got, want := found[one.Rows], want[one.Rows]; got != want {
			return fault.New(fault.Corrupt, "of the series %s %d profiles that come to %d were written; read were %d that come to %d",
				one.Labels, got.profiles, got.sum, want.profiles, want.sum)
		}
	}
	return nil
}

// count adds what is in a block to found, by series. It decodes every sample.
func count(ctx context.Context, dir string, byLabels map[string]uint32, found []tally) (err error) {
	b, err := block.OpenDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	series, err := b.Select(ctx)
	if err != nil {
		return err
	}
	for _, one := range series {
		to, ok := byLabels[string(one.Labels.Bytes(nil))]
		if !ok {
			return fault.New(fault.Corrupt, "the series %s was never read", one.Labels)
		}
		req := query.ScanRequest{Partition: one.Partition, Rows: []uint32{one.Rows}, Range: b.TimeRange()}
		err := b.Scan(ctx, req, func(r *query.Row) error {
			total := int64(0)
			for _, v := range r.Values {
				total, _ = profile.AddSaturating(total, v)
			}
			found[to].add(total)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
