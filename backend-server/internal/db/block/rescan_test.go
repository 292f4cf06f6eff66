package block_test

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// countedInput counts the rows that are read with their samples.
type countedInput struct {
	block.Input
	rows int
}

func (c *countedInput) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	return c.Input.Scan(ctx, req, func(r *query.Row) error {
		if !req.TotalsOnly {
			c.rows++
		}
		return fn(r)
	})
}

// Where sums turn out not to be possible after some hours, the hours that are
// left are looked at once, like all others.
func TestGivingUpSumsReadsNothingAgain(t *testing.T) {
	const stacks, hours, perHour = 40_000, 16, 10
	names := make([]string, stacks)
	for i := range names {
		names[i] = fmt.Sprint("fn", i)
	}
	h := head.New(ulid.ULID{1}, memoryLog{})
	first := start - start%3_600_000
	for i := range hours * perHour {
		p := flat(names[:4])
		if i == 0 {
			p = flat(names) // so many that not all hours are summed at a time
		}
		for range p.Samples {
			p.Values = append(p.Values, 1)
		}
		if i < 3 {
			p.Values[0] = math.MaxInt64 / 2 // three of them do not fit
		}
		rec := record(i+1, "a", &p)
		rec.Time = first + profile.UnixMilli(i/perHour*3_600_000+i%perHour)
		require.Nil(t, h.Append(context.Background(), []*profile.Record{&rec}))
	}
	in := &countedInput{Input: h}
	_, err := block.Write(context.Background(), vfs.OS{}, filepath.Join(t.TempDir(), "block"), ulid.ULID{2}, in, always)
	require.NoError(t, err)
	require.Equal(t, 2*hours*perHour, in.rows, "once for the sums, once to be written")
}
