package ingester

import (
	"flag"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/memory"
)

// Config says where the databases are, when heads become blocks, and how much
// memory and disk they may take.
type Config struct {
	DataPath         string
	MaxBlockDuration time.Duration
	HeadMaxBytes     config.Bytes // of all heads together; 0: a share of the memory
	HeadTenantBytes  config.Bytes // of one tenant's heads; 0: a share of HeadMaxBytes
	WALSync          wal.SyncMode
	Compression      table.Compression
	Disk             DiskConfig
	// RetryWindow is how old a profile may be that still comes, or comes again;
	// 0 stands for any age. It is no flag: the distributor's limit decides.
	RetryWindow time.Duration
	// DropGrace is how long a block stays after those who read the bucket were
	// found to show it. It is no flag: where one query asks several processes at
	// the same time, one may have been asked just before.
	DropGrace time.Duration
}

// DiskConfig says how much of the local disk is left free, and for how long
// blocks stay on it.
type DiskConfig struct {
	MinFreeBytes   config.Bytes
	MinFreePercent float64
	// LocalRetention is how long a block stays after it was shipped.
	LocalRetention time.Duration
}

// headShare is the part of the memory limit that heads may use by default; the
// rest is for queries, for blocks being written and for the garbage collector.
const headShare = 4

// tenantShare is the part of all heads, in percent, that one tenant's may be by
// default: the rest stays for the others.
const tenantShare = 80

// headWait is how long a push waits for memory. It is longer than writing a
// block of some size takes, and shorter than the patience of clients.
const headWait = 2 * time.Second

// RegisterFlags declares the flags of the ingester, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.DataPath, "db.data-path", "./data", "Folder for everything the process stores.")
	f.DurationVar(&c.MaxBlockDuration, "db.max-block-duration", time.Hour, "A head that is this old is cut: written as a block and shipped to the bucket.")
	f.Var(&c.HeadMaxBytes, "db.head-max-bytes", "Memory for all heads together. From 70% on the largest are cut early; what would go beyond is refused, to be sent again later. 0 means a quarter of the memory limit, which is that of the cgroup or the machine, or GOMEMLIMIT.")
	f.Var(&c.HeadTenantBytes, "db.head-max-tenant-bytes", "Memory for the heads of one tenant, likewise. 0 means 80% of -db.head-max-bytes.")
	f.Var(&c.WALSync, "wal.sync", "When a push is answered: always, the default, is after an fsync; interval is after the write, with an fsync soon after.")
	f.Var(&c.Compression, "db.block-compression", "How blocks are compressed: zstd, the default, or none, which takes more room and less time to read.")
	c.Disk.registerFlags(f)
}

func (c *DiskConfig) registerFlags(f *flag.FlagSet) {
	c.MinFreeBytes = 10 << 30
	f.Var(&c.MinFreeBytes, "db.min-free-bytes", "When the disk of -db.data-path has less free than this and less than -db.min-free-percent, local blocks that are in the bucket are removed, the oldest first, and heads are cut. Below a quarter of it pushes are refused. 0 means never.")
	f.Float64Var(&c.MinFreePercent, "db.min-free-percent", 5, "See -db.min-free-bytes. 0 means never.")
	f.DurationVar(&c.LocalRetention, "db.local-retention", 6*time.Hour, "How long blocks stay on the local disk after they were shipped. They stay longer while a profile in them may be sent again (-validation.reject-older-than); 0 means no longer than that.")
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
	if c.HeadTenantBytes < 0 {
		problems = append(problems, config.Problem("db.head-max-tenant-bytes", c.HeadTenantBytes.String(), "a size, or 0 for 80% of -db.head-max-bytes"))
	}
	return append(problems, c.Disk.validate()...)
}

func (c *DiskConfig) validate() []error {
	var problems []error
	if c.MinFreeBytes < 0 {
		problems = append(problems, config.Problem("db.min-free-bytes", c.MinFreeBytes.String(), "a size, or 0 for never"))
	}
	if !(c.MinFreePercent >= 0 && c.MinFreePercent < 100) {
		problems = append(problems, config.Problem("db.min-free-percent", c.MinFreePercent, "a number from 0 to below 100"))
	}
	if c.LocalRetention < 0 {
		problems = append(problems, config.Problem("db.local-retention", c.LocalRetention, "a duration, or 0 for as short as can be"))
	}
	return problems
}

// memory returns the bounds of the heads.
func (c *Config) memory() db.BudgetLimits {
	limits := db.BudgetLimits{Bytes: int64(c.HeadMaxBytes), TenantBytes: int64(c.HeadTenantBytes), Wait: headWait}
	if limits.Bytes == 0 {
		limits.Bytes = memory.Limit() / headShare
	}
	if limits.TenantBytes == 0 {
		limits.TenantBytes = max(1, limits.Bytes/100*tenantShare)
	}
	return limits
}
