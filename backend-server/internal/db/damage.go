package db

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/query"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// damagedSuffix ends the name of the directory of a block that was set aside.
const damagedSuffix = ".damaged"

// suspicion is what is known of a block that somebody could not read.
type suspicion struct {
	mu      sync.Mutex // held while the block is looked at
	looked  time.Time
	damaged bool
}

// lookAgainAfter is how long a block is believed to be whole after it was
// found to be.
const lookAgainAfter = time.Minute

// damaged tells whether a block that could not be read is damaged: whether
// its file is not what its meta file states. Such a block is set aside. What
// only looks damaged, because of a fault of this program or a disk that does
// not answer, stays. The caller holds the block.
func (d *DB) damaged(ctx context.Context, b *localBlock, cause error) bool {
	if !fault.Is(cause, fault.Corrupt) {
		return false
	}
	s := &b.suspicion
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.damaged || time.Since(s.looked) < lookAgainAfter {
		return s.damaged
	}
	err := d.verify(ctx, b)
	if err != nil && !fault.Is(err, fault.Corrupt) {
		return false
	}
	s.looked, s.damaged = time.Now(), err != nil
	if err == nil {
		d.opts.Logger.Error("a block is whole and cannot be read", "block", b.Meta().ID, "err", cause)
		return false
	}
	d.setAside(b, err)
	return true
}

// suspect looks at a block in the background.
func (d *DB) suspect(b *localBlock, cause error) {
	if fault.Is(cause, fault.Corrupt) && b.acquire() {
		go func() {
			defer b.release()
			d.damaged(context.Background(), b, cause)
		}()
	}
}

// Check reads a local block whole. If it is damaged it is set aside, and the
// error is of kind Corrupt.
func (d *DB) Check(ctx context.Context, id ulid.ULID) error {
	d.mu.RLock()
	b, ok := d.mu.blocks.byID[id]
	ok = ok && b.acquire()
	d.mu.RUnlock()
	if !ok {
		return fault.New(fault.NotFound, "block %s", id)
	}
	defer b.release()
	err := d.verify(ctx, b)
	if fault.Is(err, fault.Corrupt) {
		d.setAside(b, err)
	}
	return err
}

// verifyChunk is how much of a file is read at a time.
const verifyChunk = 1 << 20

// verify reads a block's files whole. What is not as its meta file states is
// an error of kind Corrupt.
func (d *DB) verify(ctx context.Context, b *localBlock) error {
	buf := make([]byte, verifyChunk)
	for _, want := range b.Meta().Files {
		if err := d.verifyFile(ctx, b.dir, want, buf); err != nil {
			return fmt.Errorf("block %s: %s: %w", b.Meta().ID, want.Name, err)
		}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (d *DB) verifyFile(ctx context.Context, dir string, want block.File, buf []byte) (err error) {
	f, err := d.fs.Open(filepath.Join(dir, want.Name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var size int64
	var sum uint32
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(buf)
		sum = crc32.Update(sum, castagnoli, buf[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if size != want.Size || sum != want.CRC {
		return fault.New(fault.Corrupt, "%d bytes with checksum %08x; written were %d with %08x", size, sum, want.Size, want.CRC)
	}
	return nil
}

// setAside takes a damaged block out of use and puts it where somebody can
// look at it. Where the bucket has a copy, that is what is read from now on.
func (d *DB) setAside(b *localBlock, cause error) {
	id := b.Meta().ID
	d.mu.Lock()
	if d.mu.closed || d.mu.blocks.byID[id] != b {
		d.mu.Unlock()
		return
	}
	shipped := d.forget(id)
	d.mu.Unlock()
	b.drop(func() error { return d.moveAside(b.dir) })
	d.reportAside(id, shipped, cause)
}

// forget takes a block off the list and tells whether it was shipped. The
// caller holds d.mu.
func (d *DB) forget(id ulid.ULID) (shipped bool) {
	shipped = !d.mu.shipped[id].IsZero()
	d.mu.blocks.remove(id)
	delete(d.mu.shipped, id)
	return shipped
}

func (d *DB) moveAside(dir string) error {
	if err := d.fs.RemoveAll(dir + damagedSuffix); err != nil {
		return fmt.Errorf("set block aside: %w", err)
	}
	if err := d.fs.Rename(dir, dir+damagedSuffix); err != nil {
		return fmt.Errorf("set block aside: %w", err)
	}
	return d.fs.SyncDir(filepath.Dir(dir))
}

func (d *DB) reportAside(id ulid.ULID, shipped bool, cause error) {
	dir := d.blockDir(id) + damagedSuffix
	d.opts.Logger.Error("a damaged block is set aside", "block", id, "dir", dir, "shipped", shipped, "err", cause)
	if f := d.opts.Events.SetAside; f != nil {
		f(SetAside{Block: id, Dir: dir, Shipped: shipped, Err: cause})
	}
}

// As part of a View, a local block tells the database when it cannot be read.

// Select implements query.Queryable.
func (b *localBlock) Select(ctx context.Context, matchers ...*labels.Matcher) ([]query.Series, error) {
	out, err := b.Block.Select(ctx, matchers...)
	b.db.suspect(b, err)
	return out, err
}

// Scan implements query.Queryable.
func (b *localBlock) Scan(ctx context.Context, req query.ScanRequest, fn func(*query.Row) error) error {
	err := b.Block.Scan(ctx, req, fn)
	b.db.suspect(b, err)
	return err
}

// Groups implements query.Summed. A block that was written without sums has no
// groups.
func (b *localBlock) Groups(ctx context.Context, partition uint32) ([]query.Group, error) {
	summed, ok := any(b.Block).(query.Summed)
	if !ok {
		return nil, nil
	}
	out, err := summed.Groups(ctx, partition)
	b.db.suspect(b, err)
	return out, err
}

// ScanSums implements query.Summed.
func (b *localBlock) ScanSums(ctx context.Context, partition uint32, g query.Group, r profile.TimeRange, fn func(*query.Row) error) (bool, error) {
	summed, ok := any(b.Block).(query.Summed)
	if !ok {
		return false, nil
	}
	done, err := summed.ScanSums(ctx, partition, g, r, fn)
	b.db.suspect(b, err)
	return done, err
}

var _ query.Summed = (*localBlock)(nil)

// gaps returns what of r is not in any of the ranges, which must be sorted and
// must not overlap.
func gaps(r profile.TimeRange, taken []profile.TimeRange) []profile.TimeRange {
	var out []profile.TimeRange
	for _, t := range taken {
		if !t.Overlaps(r) {
			continue
		}
		if r.Start < t.Start {
			out = append(out, profile.TimeRange{Start: r.Start, End: t.Start - 1})
		}
		if t.End >= r.End {
			return out
		}
		r.Start = t.End + 1
	}
	return append(out, r)
}
