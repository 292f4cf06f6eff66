package ingester

import (
	"flag"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/memory"
)

// Config says where the databases are and when heads become blocks.
type Config struct {
	DataPath         string
	MaxBlockDuration time.Duration
	HeadMaxBytes     config.Bytes // of all heads together; 0: a share of the memory
	WALSync          wal.SyncMode
}

// headShare is the part of the memory limit that heads may use by default; the
// rest is for queries, for blocks being written and for the garbage collector.
const headShare = 4

// RegisterFlags declares the flags of the ingester, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.DataPath, "db.data-path", "./data", "Folder for everything the process stores.")
	f.DurationVar(&c.MaxBlockDuration, "db.max-block-duration", time.Hour, "A head that is this old is cut: written as a block and shipped to the bucket.")
	f.Var(&c.HeadMaxBytes, "db.head-max-bytes", "Memory for all heads together; above it the largest is cut early. 0 means a quarter of the memory limit.")
	f.Var(&c.WALSync, "wal.sync", "When a push is answered: always = after fsync; interval = after the write, with an fsync soon after.")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	var problems []error
	if c.DataPath == "" {
		problems = append(problems, config.Problem("db.data-path", c.DataPath, "a folder"))
	}
	if c.MaxBlockDuration < time.Minute {
		problems = append(problems, config.Problem("db.max-block-duration", c.MaxBlockDuration, "a duration of at least 1m"))
	}
	if c.HeadMaxBytes < 0 {
		problems = append(problems, config.Problem("db.head-max-bytes", c.HeadMaxBytes.String(), "a size, or 0 for a quarter of the memory limit"))
	}
	return problems
}

func (c *Config) headBytes() int64 {
	if c.HeadMaxBytes > 0 {
		return int64(c.HeadMaxBytes)
	}
	return memory.Limit() / headShare
}
