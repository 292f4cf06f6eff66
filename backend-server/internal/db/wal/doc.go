// Package wal is a segmented write-ahead log of opaque records.
//
// # Why
//
// A push is acknowledged when it survives a power cut, but a block can only be
// written when enough has come together. Between the two lives the log. One
// fsync for one record costs some thirty times the CPU of one fsync for a
// group of 64, so records of all writers that are waiting at the same time go
// to disk together (group commit), and no writer holds a lock while it waits:
// Enqueue fixes the order, Wait the durability.
//
// # Layout
//
// A log is a directory of segments, 00000001.wal and so on. Every Open starts
// a new segment, so any segment, not only the last one, may end torn.
// All numbers are little-endian; checksums are CRC-32C.
//
//	segment
//	┌───────────────┬──────────────┬─────────────┬──────────────────┐
//	│ magic "hWAL"  │ version u32  │ number u32  │ crc u32 of these │  16 bytes
//	├───────────────┴──────────────┴─────────────┴──────────────────┤
//	│ record …                                                      │
//	└───────────────────────────────────────────────────────────────┘
//	record
//	┌───────────────┬──────────────────────────┬────────────────────┐
//	│ length u32    │ crc u32 of both others   │ payload            │
//	└───────────────┴──────────────────────────┴────────────────────┘
//
// The checksum of an empty record is not zero, so zeros are never a record.
//
// # Reading
//
// Replay hands out every record whose checksum holds. Where one does not hold
// it follows the lengths; if they lead to a good record, those between are
// counted as corrupt and left out. If they do not, the rest of the segment is
// cut: that is how the end of a segment looks after a power cut (torn, or
// filled with zeros). A flipped bit in a length looks the same; what it hides
// is in Stats.TornBytes too.
//
// # Invariants
//
// (W1) The order of Enqueue is the order in the log.
//
// (W2) When Wait has returned nil under SyncAlways, Replay finds the record,
// and all before it, after any crash. Under SyncInterval that holds for a
// crash of the process; a power cut may take the last Options.Interval.
//
// What was found in the directory is durable once Open has returned.
//
// (W3) No record is written twice. A record whose Wait failed may be found
// all the same.
//
// (W4) After the first failed write or sync the log is broken for good: what
// the file holds is unknown then, and a later sync that succeeds would prove
// nothing. Every call returns that error.
//
// (W5) A record that follows a corrupt one, or that follows an unacknowledged
// one lost in a crash, can be found without it. A record that leans on an
// earlier one must be able to notice that the earlier one is missing.
package wal
