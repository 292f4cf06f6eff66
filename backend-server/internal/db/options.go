package db

import (
	"log/slog"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// Options configure a DB. Zero values stand for the defaults.
type Options struct {
	FS vfs.FS // default: the operating system's
	// MaxBlockDuration is the age at which a head is cut and the longest span
	// of a block. Default: 1h.
	MaxBlockDuration time.Duration
	// HeadMaxBytes is the memory at which a head is cut; 0 is no bound.
	HeadMaxBytes int64
	WALSync      wal.SyncMode
	Logger       *slog.Logger // default: discards
	Events       Events
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.MaxBlockDuration <= 0 {
		o.MaxBlockDuration = time.Hour
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

// HeadStats are sizes of everything in memory: the head and those being cut.
type HeadStats struct {
	Bytes, Series, Profiles int64
	// Oldest is when the oldest head that holds anything was made; zero if
	// there is none.
	Oldest time.Time
}
