package querier

import (
	"flag"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/memory"
)

// Config bounds what queries take.
type Config struct {
	MaxQueryBytes config.Bytes // memory of one query; 0: any
}

const (
	// queryShare is the part of the memory limit that one query may use by
	// default.
	queryShare = 4
	// callShare is the part of the memory limit that remembered call trees may
	// use.
	callShare = 16
	// digestShare is the part of the memory limit that remembered digests of
	// blocks may use.
	digestShare = 64
)

// RegisterFlags declares the flags of the querier, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	c.MaxQueryBytes = config.Bytes(memory.Limit()/queryShare) &^ (1<<20 - 1) // whole MiB read better
	f.Var(&c.MaxQueryBytes, query.LimitFlag, "Memory that one query may use for sums, trees and symbols; by default a quarter of what the process may use. 0 means no limit.")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	if c.MaxQueryBytes < 0 {
		return []error{config.Problem(query.LimitFlag, c.MaxQueryBytes.String(), "a size, or 0 for no limit")}
	}
	return nil
}

func (c *Config) digestBytes() int64 { return memory.Limit() / digestShare }

func (c *Config) limits() query.Limits {
	return query.Limits{QueryBytes: int64(c.MaxQueryBytes), CallBytes: memory.Limit() / callShare}
}
