package queryfrontend

import (
	"flag"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/memory"
)

// Limits of the API that no flag changes.
const (
	// mostPoints is the largest number of steps of a time series: thirty days
	// at five seconds. Steps without profiles cost nothing, so it is there to
	// catch mistakes of unit.
	mostPoints = 518_400
	// mostNodesEver bounds what -querier.max-flamegraph-nodes-max may allow.
	mostNodesEver = 1 << 24
	// The number of functions that a list of them has.
	defaultFunctions = 100
	mostFunctions    = 10_000
	// leastSplit is the shortest part of a query that is worth one.
	leastSplit = time.Minute
)

// Config bounds what one query may ask for.
type Config struct {
	MaxLength    time.Duration // 0: any
	MaxLookback  time.Duration // 0: any
	DefaultNodes int64
	MaxNodes     int64

	Timeout time.Duration // 0: none

	// SplitInterval is how long the parts of a query are; 0: it has one.
	SplitInterval  time.Duration
	MaxParallelism int          // parts of a query at once
	CacheBytes     config.Bytes // of answers that are kept; 0: none
}

// cacheShare is the part of the memory limit that answers may take by default.
const cacheShare = 32

const (
	splitFlag       = "querier.split-queries-by-interval"
	parallelismFlag = "querier.max-query-parallelism"
	cacheFlag       = "query-frontend.cache-max-bytes"
	timeoutFlag     = "querier.timeout"
)

// RegisterFlags declares the flags of the query frontend, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.DurationVar(&c.MaxLength, "querier.max-query-length", 0, "Longest time range that a query for profiles or series may ask for; 0 means no limit.")
	f.DurationVar(&c.MaxLookback, "querier.max-query-lookback", 0, "How far back queries reach; what they ask for before that is left out. 0 means no limit.")
	f.Int64Var(&c.DefaultNodes, "querier.max-flamegraph-nodes-default", 8192, "Nodes of a flame graph when the query does not say.")
	f.Int64Var(&c.MaxNodes, "querier.max-flamegraph-nodes-max", 1<<20, "Most nodes of a flame graph that a query may ask for.")
	f.DurationVar(&c.Timeout, timeoutFlag, 2*time.Minute, "How long a query may take, the time it waits for a querier included; 0 means no limit.")
	f.DurationVar(&c.SplitInterval, splitFlag, 0, "Queries for profiles and series are split into parts of this length, at its multiples, which queriers answer at the same time; 0 means 6h in a cluster, and no splitting in a process that is alone.")
	f.IntVar(&c.MaxParallelism, parallelismFlag, 16, "Parts of one query that are answered at the same time.")
	c.CacheBytes = config.Bytes(memory.Limit()/cacheShare) &^ (1<<20 - 1) // whole MiB read better
	f.Var(&c.CacheBytes, cacheFlag, "Memory for answers about times more than ten minutes ago, which are used again while the data is the same; by default a thirty-second of what the process may use. 0 means that none are kept, nor are they by a process that is alone.")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	var problems []error
	if c.MaxLength < 0 {
		problems = append(problems, config.Problem("querier.max-query-length", c.MaxLength, "a duration that is not negative"))
	}
	if c.MaxLookback < 0 {
		problems = append(problems, config.Problem("querier.max-query-lookback", c.MaxLookback, "a duration that is not negative"))
	}
	if c.MaxNodes < 1 || c.MaxNodes > mostNodesEver {
		problems = append(problems, config.Problem("querier.max-flamegraph-nodes-max", c.MaxNodes, "a number from 1 to 16777216"))
	}
	if c.DefaultNodes < 1 || c.DefaultNodes > c.MaxNodes {
		problems = append(problems, config.Problem("querier.max-flamegraph-nodes-default", c.DefaultNodes, "a number from 1 to -querier.max-flamegraph-nodes-max"))
	}
	if c.SplitInterval < 0 || c.SplitInterval > 0 && c.SplitInterval < leastSplit {
		problems = append(problems, config.Problem(splitFlag, c.SplitInterval, "a duration of at least 1m, or 0"))
	}
	if c.Timeout < 0 {
		problems = append(problems, config.Problem(timeoutFlag, c.Timeout, "a duration that is not negative"))
	}
	if c.MaxParallelism < 1 {
		problems = append(problems, config.Problem(parallelismFlag, c.MaxParallelism, "a number from 1"))
	}
	if c.CacheBytes < 0 {
		problems = append(problems, config.Problem(cacheFlag, c.CacheBytes.String(), "a size, or 0 for no cache"))
	}
	return problems
}
