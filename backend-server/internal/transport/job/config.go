package job

import (
	"flag"
	"runtime"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Config says how much a querier does at once.
type Config struct {
	MaxConcurrent int // 0: as many as there are CPUs, but at least fewestWorkers
}

// fewestWorkers is how many queries a querier works on at least. Parts of
// queries mostly wait for the bucket, so a day's parts of six hours, of which
// there are five if it does not begin with one, are worked on at once, and there
// is room for others beside one that takes long.
const fewestWorkers = 8

// RegisterFlags declares the flags of the workers, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.IntVar(&c.MaxConcurrent, "querier.max-concurrent", 0, "Queries that a querier works on at once, spread over all query-schedulers, with at least two for each; 0 means as many as there are CPUs, but at least 8: they mostly wait for the bucket.")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	if c.MaxConcurrent < 0 {
		return []error{config.Problem("querier.max-concurrent", c.MaxConcurrent, "a number, or 0 for the number of CPUs, but at least 8")}
	}
	return nil
}

// Workers returns how many queries to work on at once.
func (c *Config) Workers() int {
	if c.MaxConcurrent > 0 {
		return c.MaxConcurrent
	}
	return max(fewestWorkers, runtime.GOMAXPROCS(0))
}
