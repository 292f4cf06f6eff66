package app

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/compactor"
)

// Two compactors that both think that a tenant is theirs do no harm, whatever
// they do at the same time.
func TestTwoCompactorsAtOnce(t *testing.T) {
	for seed := range uint64(2) {
		s := fill(t, objstore.NewInMemBucket(), 60+seed, 14, 80)
		delay := func(c *compactor.Config) { c.DeletionDelay = time.Hour }
		two := []*compactor.Compactor{s.compactor(t, s.bucket, delay), s.compactor(t, s.bucket, delay)}
		for range 3 {
			var rounds sync.WaitGroup
			for _, c := range two {
				rounds.Go(func() { _ = c.Round(context.Background()) }) // one may find that the other has removed something
			}
			rounds.Wait()
			s.compare(t, s.gateway(t), "after a round of both")
			s.ends = s.ends.Add(2 * time.Hour)
		}
		for range 3 {
			require.NoError(t, two[0].Round(t.Context()))
			s.ends = s.ends.Add(2 * time.Hour)
		}
		s.compare(t, s.gateway(t), "after rounds of one")
		jobs := map[ulid.ULID]bool{}
		for _, m := range s.blocks(t) {
			require.NotNil(t, m.Compaction)
			jobs[m.Compaction.Job] = true
		}
		require.LessOrEqual(t, len(jobs), 2, "one a day")
	}
}
