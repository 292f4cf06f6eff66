package job

import (
	"flag"
	"runtime"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Config says how much a querier does at once.
type Config struct {
	MaxConcurrent int // 0: see Workers
}

// fewestWorkers is how many queries a querier works on at least if the bucket is
// far. Parts of queries mostly wait for it then, so a day's parts of six hours,
// of which there are five if it does not begin with one, are worked on at once,
// and there is room for others beside one that takes long. Where nothing is
// waited for, more workers than CPUs would only let who asks much take more of
// them from who asks little.
const fewestWorkers = 8

// RegisterFlags declares the flags of the workers, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.IntVar(&c.MaxConcurrent, "querier.max-concurrent", 0, "Queries that a querier works on at once, spread over all query-schedulers, with at least two for each; 0 means as many as there are CPUs, but at least 8 if the bucket is no folder: they mostly wait for it.")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	if c.MaxConcurrent < 0 {
		return []error{config.Problem("querier.max-concurrent", c.MaxConcurrent, "a number, or 0 for one that suits the CPUs and the bucket")}
	}
	return nil
}

// Workers returns how many queries to work on at once. far says that the bucket
// is reached over a network.
func (c *Config) Workers(far bool) int {
	switch cpus := runtime.GOMAXPROCS(0); {
	case c.MaxConcurrent > 0:
		return c.MaxConcurrent
	case far:
		return max(fewestWorkers, cpus)
	default:
		return cpus
	}
}
