package ingester

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// reasonDiskLow is the refusal reason of pushes for which the disk has no room.
const reasonDiskLow = "disk_low"

// Below the floor, which the settings give, room is made; below a part of it
// pushes are refused, and are taken again when there is clearly more. What lies
// between is for blocks being written and for logs on their way to become some.
const (
	refuseBelow = 4 // the floor divided by this
	acceptFrom  = 2
	// logWorthCutting is the size of a log from which on its head is cut to
	// save disk: a block takes a fraction of what its log took.
	logWorthCutting = 16 << 20
)

// disk knows how full the local disk is. It is safe for concurrent use.
type disk struct {
	cfg    DiskConfig
	fs     vfs.FS
	dir    string
	logger *slog.Logger

	mu struct {
		sync.RWMutex
		space   vfs.Space
		low     bool
		refusal error
		trouble string // why the disk was not measured the last time; "" if it was
	}
}

// floor is what has to be free: the smaller of both settings, since only a disk
// that is below both is low. 0 is no floor.
func (c *DiskConfig) floor(total int64) int64 {
	if c.MinFreeBytes <= 0 || c.MinFreePercent <= 0 {
		return 0
	}
	return min(int64(c.MinFreeBytes), int64(float64(total)/100*c.MinFreePercent))
}

// look measures the disk and returns how many bytes should be made free.
func (d *disk) look() (missing int64) {
	space, err := d.fs.Space(d.dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		// A disk that does not tell must not stop anybody.
		d.complain(err)
		d.mu.low, d.mu.refusal = false, nil
		return 0
	}
	d.mu.trouble = ""
	d.mu.space = space
	floor := d.cfg.floor(space.Total)
	if low := space.Free < floor; low != d.mu.low {
		d.mu.low = low
		d.logger.Warn("disk", "low", low, "dir", d.dir, "free", space.Free, "wanted", floor)
	}
	switch {
	case space.Free < floor/refuseBelow && d.mu.refusal == nil:
		d.mu.refusal = d.refuse(space.Free, floor)
		d.logger.Error("the disk is nearly full; pushes are refused, queries go on", "dir", d.dir, "free", space.Free, "wanted", floor)
	case space.Free >= floor/acceptFrom && d.mu.refusal != nil:
		d.mu.refusal = nil
		d.logger.Warn("the disk has room again; pushes are taken", "dir", d.dir, "free", space.Free, "wanted", floor)
	}
	return max(0, floor-space.Free)
}

func (d *disk) complain(err error) {
	if text := err.Error(); text != d.mu.trouble {
		d.mu.trouble = text
		if !errors.Is(err, errors.ErrUnsupported) {
			d.logger.Error("the free space of the disk is not known", "dir", d.dir, "err", err)
		}
	}
}

func (d *disk) refuse(free, floor int64) error {
	return fault.Reason(fault.Unavailable, reasonDiskLow,
		"the disk of -db.data-path has %d bytes free, less than a quarter of the %d that -db.min-free-bytes=%d and -db.min-free-percent=%g ask for; pushes are taken again from %d on",
		free, floor, int64(d.cfg.MinFreeBytes), d.cfg.MinFreePercent, floor/acceptFrom)
}

// admit tells why nothing may be written now, or nil.
func (d *disk) admit() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.mu.refusal
}

// wants reports whether heads of these sizes should be cut for the disk's sake.
func (d *disk) wants(s db.HeadStats) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.mu.refusal != nil && s.Profiles > 0 || d.mu.low && s.LogBytes >= logWorthCutting
}

// state is what metrics show.
func (d *disk) state() (space vfs.Space, low, refusing bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.mu.space, d.mu.low, d.mu.refusal != nil
}
