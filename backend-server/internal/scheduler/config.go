package scheduler

import (
	"flag"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Config bounds what tenants take.
type Config struct {
	MaxOutstanding int // queries of a tenant that wait
	MaxQueriers    int // that work for a tenant; 0: all
}

const (
	outstandingFlag = "query-scheduler.max-outstanding-requests-per-tenant"
	queriersFlag    = "query-scheduler.max-queriers-per-tenant"
)

// RegisterFlags declares the flags of the scheduler, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.IntVar(&c.MaxOutstanding, outstandingFlag, 100, "Queries of a tenant that may wait for a querier, in each query-scheduler; further ones are refused with 429 and may be tried again.")
	f.IntVar(&c.MaxQueriers, queriersFlag, 0, "Queriers that work for a tenant, so that what breaks some of them does not break all; 0 means all.")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	var problems []error
	if c.MaxOutstanding < 1 {
		problems = append(problems, config.Problem(outstandingFlag, c.MaxOutstanding, "a number from 1"))
	}
	if c.MaxQueriers < 0 {
		problems = append(problems, config.Problem(queriersFlag, c.MaxQueriers, "a number, or 0 for all"))
	}
	return problems
}
