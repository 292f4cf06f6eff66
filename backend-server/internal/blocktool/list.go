package blocktool

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/progress"
)

// Listed is one line of a list of blocks.
type Listed struct {
	Named
	Meta     *block.Meta // nil if it cannot be read
	Services []string    // if asked for
	// Problem says what is wrong with a block that cannot be read, or that its
	// upload is not complete.
	Problem string
}

// atOnce is how many blocks are read at a time; each read is a wait.
const atOnce = 16

// Incomplete is the problem of a block without a meta file.
const Incomplete = "no meta.json: an upload that is not complete, or a block that is being deleted"

// List reads what the meta files of blocks say, and, with services, whose
// profiles they hold, which takes another read a block. Blocks are sorted by
// tenant and time.
func List(ctx context.Context, p Place, blocks []Named, services bool, bar *progress.Bar) ([]Listed, error) {
	bar.Begin("reading blocks", int64(len(blocks)), progress.Count)
	defer bar.End()
	out := make([]Listed, len(blocks))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, n := range blocks {
		g.Go(func() error {
			defer bar.Add(1)
			out[i] = list(ctx, p, n, services)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b Listed) int {
		if c := strings.Compare(a.Tenant, b.Tenant); c != 0 || a.Meta == nil || b.Meta == nil {
			return c
		}
		return cmp.Compare(a.Meta.MinTime, b.Meta.MinTime)
	})
	return out, nil
}

func list(ctx context.Context, p Place, n Named, services bool) Listed {
	l := Listed{Named: n}
	b, err := open(ctx, p, n.Tenant, n.ID)
	if err != nil {
		l.Problem = problemOf(err)
		return l
	}
	defer b.Close()
	l.Meta = b.Meta()
	l.Services = l.Meta.Services
	if services && l.Services == nil {
		if l.Services, err = b.Partitions(ctx); err != nil {
			l.Problem = problemOf(err)
		}
	}
	return l
}

func problemOf(err error) string {
	if fault.Is(err, fault.NotFound) {
		return Incomplete
	}
	return err.Error()
}

// Level is how many times profiles of a block were compacted; 0 for one that
// was cut from a head.
func Level(m *block.Meta) int {
	if m.Compaction == nil {
		return 0
	}
	return m.Compaction.Level
}
