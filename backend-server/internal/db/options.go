package db

import (
	"log/slog"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/table"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// Options configure a DB. Zero values stand for the defaults.
type Options struct {
	FS vfs.FS // default: the operating system's
	// MaxBlockDuration is the age at which a head is cut and the longest span
	// of a block. Default: 1h.
	MaxBlockDuration time.Duration
	// Budget bounds the memory of the heads; databases share one. Default: no
	// bound.
	Budget *Budget
	// RetryWindow is how long after the time it was taken a profile may come,
	// or come again; 0 stands for ever. Blocks stay at least as long (D3).
	RetryWindow time.Duration
	WALSync     wal.SyncMode
	// BlockCompression is that of new blocks; all can be read. Default: zstd.
	BlockCompression table.Compression
	Logger           *slog.Logger // default: discards
	Events           Events
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.MaxBlockDuration <= 0 {
		o.MaxBlockDuration = time.Hour
	}
	if o.Budget == nil {
		o.Budget = NewBudget(BudgetLimits{})
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Events report what happens inside. Any of them may be nil. They are called
// without locks held and must not call back.
type Events struct {
	// Replayed is called for each head found at start.
	Replayed func(Replay)
	// Flushed is called for each head that has become blocks.
	Flushed func(Flush)
	// SetAside is called for each local block that was found damaged.
	SetAside func(SetAside)
	// WAL are the events of the write-ahead logs.
	WAL wal.Events
}

// Replay says what was found of a head at start.
type Replay struct {
	Head ulid.ULID
	Log  wal.Stats
	// Refused are records that were read but could not be used, because what
	// they refer to is lost.
	Refused int
	Took    time.Duration
}

// Flush says what became of a head.
type Flush struct {
	Head   ulid.ULID
	Blocks []*block.Meta
	Took   time.Duration
}

// SetAside is a local block that turned out damaged and is no longer used.
type SetAside struct {
	Block ulid.ULID
	Dir   string // where it is now
	// Shipped says that the bucket has a copy, from before the damage.
	Shipped bool
	Err     error // what is wrong with it
}

// HeadStats are sizes of everything in memory: the head and those being cut.
type HeadStats struct {
	Bytes, Series, Profiles int64
	Cut                     int64 // what of Bytes is in heads that are becoming blocks
	LogBytes                int64 // of the write-ahead logs, on disk
	// Oldest is when the oldest head that holds anything was made; zero if
	// there is none.
	Oldest time.Time
}
