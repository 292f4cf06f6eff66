package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/head"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// Open opens the database in dir, which it makes if need be. It finishes what
// a crash left half done and replays the logs.
func Open(ctx context.Context, dir string, opts Options) (*DB, error) {
	d := &DB{dir: dir, opts: opts.withDefaults()}
	d.fs = d.opts.FS
	d.mu.blocks.byID = map[ulid.ULID]*localBlock{}
	d.mu.shipped, d.mu.remains = map[ulid.ULID]time.Time{}, map[ulid.ULID]struct{}{}
	if err := d.open(ctx); err != nil {
		for _, b := range d.mu.blocks.byID {
			b.drop(nil)
		}
		return nil, fmt.Errorf("open database %s: %w", dir, err)
	}
	d.account(0)
	return d, nil
}

func (d *DB) open(ctx context.Context) error {
	for _, sub := range []string{headsDir, localDir} {
		if err := vfs.MakeDir(d.fs, filepath.Join(d.dir, sub)); err != nil {
			return err
		}
	}
	if err := d.readSource(); err != nil {
		return err
	}
	heads, err := d.names(headsDir)
	if err != nil {
		return err
	}
	cuts := map[ulid.ULID]*cutRecord{}
	var left, gone []ulid.ULID
	for _, id := range heads {
		cut, logged, err := d.readHead(id)
		if err != nil {
			return err
		}
		switch {
		case cut != nil:
			cuts[id] = cut
			gone = append(gone, id)
		case logged:
			cuts[id] = nil
			left = append(left, id)
		default:
			gone = append(gone, id)
		}
	}
	if err := d.openBlocks(cuts); err != nil {
		return err
	}
	for _, id := range gone {
		if err := d.confirm(ctx, id, cuts[id]); err != nil {
			return err
		}
		if err := d.removeHead(d.headDir(id)); err != nil {
			return fmt.Errorf("remove head %s: %w", id, err)
		}
	}
	return d.openHeads(ctx, left)
}

// readSource finds out which database this is; a new one chooses. One whose file
// is damaged chooses anew, which is no harm: a source holds nothing twice, and
// so do two of which each has a part of that.
func (d *DB) readSource() error {
	name := filepath.Join(d.dir, sourceFile)
	raw, err := vfs.ReadFile(d.fs, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("source of the database: %w", err)
	}
	if err == nil {
		if d.source, err = ulid.ParseStrict(string(raw)); err == nil {
			return nil
		}
		d.opts.Logger.Error("the file that names the database as a source is damaged; it gets another name", "file", name, "err", err)
	}
	d.source = ulid.MustNew(ulid.Timestamp(time.Now()), ulid.DefaultEntropy())
	if err := vfs.WriteFileAtomic(d.fs, name, []byte(d.source.String())); err != nil {
		return fmt.Errorf("source of the database: %w", err)
	}
	return nil
}

// readHead returns the cut record of a head, nil if it was not cut, and whether
// there is a log. A directory with neither is what is left of a head that was
// being removed, whose blocks must stay, or of one that was being made.
func (d *DB) readHead(id ulid.ULID) (cut *cutRecord, logged bool, err error) {
	if cut, err = d.readCut(id); cut != nil || err != nil {
		return cut, false, err
	}
	logged, err = wal.Exists(d.fs, d.headDir(id))
	return nil, logged, err
}

// names returns the ULIDs that name entries of a directory, oldest first.
func (d *DB) names(sub string) ([]ulid.ULID, error) {
	names, err := d.fs.List(filepath.Join(d.dir, sub))
	if err != nil {
		return nil, err
	}
	var out []ulid.ULID
	for _, name := range names {
		if id, err := ulid.ParseStrict(name); err == nil {
			out = append(out, id)
		}
	}
	return out, nil
}

// readCut returns the cut record of a head, or nil if the head was not cut.
func (d *DB) readCut(id ulid.ULID) (*cutRecord, error) {
	name := filepath.Join(d.headDir(id), cutFile)
	there, err := vfs.Exists(d.fs, name)
	if err != nil || !there {
		return nil, err
	}
	raw, err := vfs.ReadFile(d.fs, name)
	if err != nil {
		return nil, fmt.Errorf("cut record of head %s: %w", id, err)
	}
	record := new(cutRecord)
	if json.Unmarshal(raw, record) != nil || record.Blocks == nil {
		record.lost = true
	}
	return record, nil
}

// openBlocks opens the local blocks and removes what never became one: blocks
// without meta file, and those of a cut that was not completed. cuts has an
// entry for every head there is, nil for those that were not cut.
func (d *DB) openBlocks(cuts map[ulid.ULID]*cutRecord) error {
	ids, err := d.names(localDir)
	if err != nil {
		return err
	}
	var sound []*localBlock
	for _, id := range ids {
		b, err := d.openLocal(d.blockDir(id))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := d.fs.RemoveAll(d.blockDir(id)); err != nil {
				return fmt.Errorf("what is left of block %s: %w", id, err)
			}
			continue
		case fault.Is(err, fault.Corrupt):
			// One damaged block must not keep all others away.
			if err := d.leaveOut(id, err); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("block %s: %w", id, err)
		}
		if cut, alive := cuts[b.Meta().Parent]; alive && (cut == nil || !cut.lost && !slices.Contains(cut.Blocks, id)) {
			b.drop(nil)
			if err := d.fs.RemoveAll(d.blockDir(id)); err != nil {
				return fmt.Errorf("block %s of an unfinished cut: %w", id, err)
			}
			continue
		}
		sound = append(sound, b)
		at, err := d.shippedAt(id)
		if err != nil {
			return err
		}
		if !at.IsZero() {
			d.mu.shipped[id] = at
		}
	}
	d.mu.blocks.add(sound...)
	return d.fs.SyncDir(filepath.Join(d.dir, localDir))
}

// openHeads replays the heads. The newest goes on growing if nothing of it was
// lost; the others are cut at the next flush.
func (d *DB) openHeads(ctx context.Context, ids []ulid.ULID) error {
	for i, id := range ids {
		h, sound, err := d.replay(ctx, id)
		if err != nil {
			return err
		}
		if i == len(ids)-1 && sound {
			if err := d.openLog(h); err != nil {
				return err
			}
			d.mu.active = h
			continue
		}
		d.mu.cut = append(d.mu.cut, h)
	}
	if d.mu.active != nil {
		return d.mu.active.carry(ctx, d.mu.cut)
	}
	var err error
	d.mu.active, err = d.newHead(ctx, d.mu.cut...)
	return err
}

func (d *DB) replay(ctx context.Context, id ulid.ULID) (h *openHead, sound bool, err error) {
	start := time.Now()
	h = &openHead{Head: head.New(id, nil), dir: d.headDir(id)}
	h.SetSource(d.source)
	report := Replay{Head: id}
	report.Log, err = wal.Replay(d.fs, h.dir, func(payload []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := h.Replay(payload)
		if fault.Is(err, fault.Corrupt) {
			d.opts.Logger.Warn("a log record cannot be used", "head", id, "err", err)
			report.Refused++
			return nil
		}
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("replay head %s: %w", id, err)
	}
	report.Took = time.Since(start)
	if report.Log.Corrupt > 0 || report.Log.LostBytes > 0 {
		d.opts.Logger.Error("a log is damaged", "head", id, "corrupt_records", report.Log.Corrupt, "lost_bytes", report.Log.LostBytes)
	}
	if f := d.opts.Events.Replayed; f != nil {
		f(report)
	}
	return h, report.Log.Corrupt == 0 && report.Log.LostBytes == 0 && report.Refused == 0, nil
}
