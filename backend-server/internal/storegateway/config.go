package storegateway

import (
	"flag"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/memory"
)

const (
	memoryFlag = "store-gateway.cache.memory-bytes"
	diskFlag   = "store-gateway.cache.disk-bytes"

	// memoryShare is the part of the memory limit that opened blocks may use by
	// default.
	memoryShare = 8
	defaultDisk = 1 << 30
)

// Config bounds what the store-gateway keeps of blocks.
type Config struct {
	MemoryBytes config.Bytes // decoded, in memory; 0: any
	DiskBytes   config.Bytes // raw, in files; 0: nothing
}

// RegisterFlags declares the flags of the store-gateway, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	c.MemoryBytes = config.Bytes(memory.Limit()/memoryShare) &^ (1<<20 - 1) // whole MiB read better
	c.DiskBytes = defaultDisk
	f.Var(&c.MemoryBytes, memoryFlag, "Memory for what has been read of blocks of the bucket, but for samples: labels, symbols, times; by default an eighth of what the process may use. 0 means no limit.")
	f.Var(&c.DiskBytes, diskFlag, "Size of the folder store-gateway-cache in -db.data-path, which keeps such parts of blocks nearby, also over a restart. 0 means that there is none, as where the bucket lies in -db.data-path.")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() (problems []error) {
	if c.MemoryBytes < 0 {
		problems = append(problems, config.Problem(memoryFlag, c.MemoryBytes.String(), "a size, or 0 for no limit"))
	}
	if c.DiskBytes < 0 {
		problems = append(problems, config.Problem(diskFlag, c.DiskBytes.String(), "a size, or 0 for no such folder"))
	}
	return problems
}
