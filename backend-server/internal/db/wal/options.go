package wal

import (
	"fmt"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// SyncMode says when a record counts as written.
type SyncMode uint8

// The modes. The zero value is the safe one.
const (
	SyncAlways   SyncMode = iota // Wait returns after an fsync
	SyncInterval                 // Wait returns after the write; fsync follows within Options.Interval
)

// ParseSyncMode reads "always" or "interval".
func ParseSyncMode(s string) (SyncMode, error) {
	switch s {
	case "always":
		return SyncAlways, nil
	case "interval":
		return SyncInterval, nil
	default:
		return 0, fault.New(fault.Invalid, "sync mode %q: want always or interval", s)
	}
}

// String returns what ParseSyncMode reads.
func (m SyncMode) String() string {
	if m == SyncInterval {
		return "interval"
	}
	return "always"
}

// Set makes a *SyncMode a flag.Value.
func (m *SyncMode) Set(s string) (err error) {
	*m, err = ParseSyncMode(s)
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (m SyncMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *SyncMode) UnmarshalText(b []byte) error { return m.Set(string(b)) }

// Defaults of Options.
const (
	DefaultSegmentBytes   = 64 << 20
	DefaultInterval       = 200 * time.Millisecond
	DefaultMaxRecordBytes = 32 << 20
)

// Bounds that are nobody's business to tune.
const (
	maxPendingBytes = 8 << 20              // Enqueue blocks above it
	fullBatchBytes  = 256 << 10            // a batch that waits for no further writer
	maxLinger       = 2 * time.Millisecond // how long a smaller one may wait
	keepBufferBytes = 1 << 20              // a larger batch buffer is given back to the collector
	recordLimit     = 1 << 30              // no record is ever larger
)

// Options of a Log. A zero field takes its default.
type Options struct {
	SegmentBytes   int64         // a segment that has reached this is followed by a new one; 64 MiB
	Sync           SyncMode      // SyncAlways
	Interval       time.Duration // of fsync under SyncInterval; 200 ms
	MaxRecordBytes int           // Enqueue refuses larger payloads; 32 MiB, at most 1 GiB
	Events         Events
}

// Events are told what happens inside; nil functions are skipped. They are
// called by the goroutine that writes the log: they must be quick and must not
// call the log.
type Events struct {
	Committed func(Commit)             // a batch is written, and synced under SyncAlways
	Synced    func(took time.Duration) // an fsync, in either mode
	Rotated   func(segment uint32)     // a new segment was begun
	Broken    func(err error)          // the log has failed (W4); called once
}

// Commit describes one batch.
type Commit struct {
	Records int
	Bytes   int
	Waiters int // calls of Wait that were waiting for it
	Took    time.Duration
}

func (o Options) withDefaults() (Options, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	if o.MaxRecordBytes == 0 {
		o.MaxRecordBytes = DefaultMaxRecordBytes
	}
	if o.SegmentBytes < 0 || o.Interval < 0 || o.MaxRecordBytes < 0 || o.MaxRecordBytes > recordLimit {
		return o, fmt.Errorf("wal options: segment bytes %d, interval %s, max record bytes %d: want none below 0 and records up to %d",
			o.SegmentBytes, o.Interval, o.MaxRecordBytes, recordLimit)
	}
	if o.Events.Committed == nil {
		o.Events.Committed = func(Commit) {}
	}
	if o.Events.Synced == nil {
		o.Events.Synced = func(time.Duration) {}
	}
	if o.Events.Rotated == nil {
		o.Events.Rotated = func(uint32) {}
	}
	if o.Events.Broken == nil {
		o.Events.Broken = func(error) {}
	}
	return o, nil
}
