package compactor

import (
	"flag"
	"fmt"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Config says when blocks are compacted, and into what.
type Config struct {
	Interval time.Duration
	// Ranges are the lengths of time that blocks are made to cover, ascending;
	// each is a multiple of the one before.
	Ranges config.List
	// After is how long a range has to be over before its blocks are merged.
	After         time.Duration
	MaxBlockBytes config.Bytes
	DeletionDelay time.Duration
	PartialAfter  time.Duration
	// Compression of blocks is that of the ingester; it is no flag here.
	Compression table.Compression
}

// RegisterFlags declares the flags of the compactor, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	c.Ranges = config.List{Values: []string{"1h", "6h", "24h"}}
	c.MaxBlockBytes = 1 << 30
	f.DurationVar(&c.Interval, "compactor.interval", 10*time.Minute, "Time between rounds of the compactor.")
	f.Var(&c.Ranges, "compactor.ranges", "Lengths of time that blocks are merged into, each a multiple of the one before.")
	f.DurationVar(&c.After, "compactor.after", 90*time.Minute, "How long a length of time has to be over before its blocks are merged. Longer than -db.max-block-duration and what shipping takes, so that the copies of all ingesters are there.")
	f.Var(&c.MaxBlockBytes, "compactor.max-block-bytes", "Blocks that would become larger are split, by service.")
	f.DurationVar(&c.DeletionDelay, "compactor.deletion-delay", time.Hour, "How long a block whose place others have taken stays in the bucket, for those who still read it. Longer than the longest query, and than ten minutes, which a store-gateway may take to see new blocks.")
	f.DurationVar(&c.PartialAfter, "compactor.partial-after", 48*time.Hour, "Age after which what is left of an upload that was never finished is removed. At least 24h.")
}

// leastPartial keeps cleaning away from uploads: what an upload finds there and
// is younger than half of it, it relies on.
const leastPartial = 24 * time.Hour

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	var problems []error
	positive := func(name string, d time.Duration, least time.Duration) {
		if d < least {
			problems = append(problems, config.Problem(name, d, fmt.Sprintf("%s or more", least)))
		}
	}
	positive("compactor.interval", c.Interval, time.Second)
	positive("compactor.after", c.After, 0)
	positive("compactor.deletion-delay", c.DeletionDelay, 0)
	positive("compactor.partial-after", c.PartialAfter, leastPartial)
	if _, err := c.ranges(); err != nil {
		problems = append(problems, config.Problem("compactor.ranges", c.Ranges.String(), err.Error()))
	}
	if c.MaxBlockBytes < 1 {
		problems = append(problems, config.Problem("compactor.max-block-bytes", c.MaxBlockBytes.String(), "a size above 0"))
	}
	return problems
}

// ranges returns Ranges in milliseconds.
func (c *Config) ranges() ([]int64, error) {
	var out []int64
	for _, text := range c.Ranges.Values {
		d, err := time.ParseDuration(text)
		if err != nil || d < time.Minute || d%time.Minute != 0 {
			return nil, fmt.Errorf("whole minutes, such as 6h; not %q", text)
		}
		if n := len(out); n > 0 && (d.Milliseconds() <= out[n-1] || d.Milliseconds()%out[n-1] != 0) {
			return nil, fmt.Errorf("each a multiple of the one before; not %s", text)
		}
		out = append(out, d.Milliseconds())
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("one length of time or more")
	}
	return out, nil
}
