package queryfrontend

import (
	"flag"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
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
)

// Config bounds what one query may ask for.
type Config struct {
	MaxLength    time.Duration // 0: any
	MaxLookback  time.Duration // 0: any
	DefaultNodes int64
	MaxNodes     int64
}

// RegisterFlags declares the flags of the query frontend, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.DurationVar(&c.MaxLength, "querier.max-query-length", 0, "Longest time range that a query for profiles or series may ask for; 0 means no limit.")
	f.DurationVar(&c.MaxLookback, "querier.max-query-lookback", 0, "How far back queries reach; what they ask for before that is left out. 0 means no limit.")
	f.Int64Var(&c.DefaultNodes, "querier.max-flamegraph-nodes-default", 8192, "Nodes of a flame graph when the query does not say.")
	f.Int64Var(&c.MaxNodes, "querier.max-flamegraph-nodes-max", 1<<20, "Most nodes of a flame graph that a query may ask for.")
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
	return problems
}
