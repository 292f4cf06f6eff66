package cache

import (
	"cmp"
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// Key names a part of a block. Tenant and Block are names of folders.
type Key struct {
	Tenant, Block string
	Offset, Size  int64
}

func (k Key) dir() string { return filepath.Join(k.Tenant, k.Block) }

func (k Key) file() string {
	return filepath.Join(k.dir(), strconv.FormatInt(k.Offset, 16)+"-"+strconv.FormatInt(k.Size, 16))
}

const (
	tmpSuffix = ".tmp"
	crcSize   = 4
	pageSize  = 4096 // of a file system: what a file takes is a multiple
	// pauseAfter is how long nothing is written after a write that failed.
	pauseAfter = time.Minute
)

// taken is what the file of a part takes on the disk.
func (k Key) taken() int64 { return (k.Size + crcSize + pageSize - 1) / pageSize * pageSize }

// Disk keeps parts of blocks in files, those used last as far as the limit
// allows. It may be used by many goroutines.
type Disk struct {
	fs    vfs.FS
	dir   string
	limit int64

	mu struct {
		sync.Mutex
		order  *list.List // of Key, used last first
		known  map[Key]*list.Element
		bytes  int64
		paused time.Time // nothing is written before
	}
}

// OpenDisk returns a cache in a directory, with what is there from before.
func OpenDisk(fs vfs.FS, dir string, limit int64) *Disk {
	d := &Disk{fs: fs, dir: dir, limit: limit}
	d.mu.order, d.mu.known = list.New(), map[Key]*list.Element{}
	found := d.find()
	// When each was used is not known, but young blocks are asked for most, and
	// names of blocks begin with their time.
	slices.SortFunc(found, func(a, b Key) int { return cmp.Compare(b.Block, a.Block) })
	for _, k := range found {
		d.mu.known[k] = d.mu.order.PushBack(k)
		d.mu.bytes += k.taken()
	}
	d.remove(d.evict())
	return d
}

// find lists the files there are, and removes those that are none of the
// cache's.
func (d *Disk) find() (out []Key) {
	tenants, _ := d.fs.List(d.dir)
	for _, tenant := range tenants {
		blocks, _ := d.fs.List(filepath.Join(d.dir, tenant))
		for _, block := range blocks {
			names, _ := d.fs.List(filepath.Join(d.dir, tenant, block))
			for _, name := range names {
				key, err := parse(tenant, block, name)
				path := filepath.Join(d.dir, tenant, block, name)
				if info, statErr := d.fs.Stat(path); err != nil || statErr != nil || info.Size != key.Size+crcSize {
					_ = d.fs.RemoveAll(path) // K2
					continue
				}
				out = append(out, key)
			}
		}
	}
	return out
}

func parse(tenant, block, name string) (Key, error) {
	offset, size, _ := strings.Cut(name, "-")
	k := Key{Tenant: tenant, Block: block}
	var err error
	if k.Offset, err = strconv.ParseInt(offset, 16, 64); err != nil {
		return k, err
	}
	k.Size, err = strconv.ParseInt(size, 16, 64)
	return k, err
}

// Bytes is what the files take.
func (d *Disk) Bytes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.bytes
}

// Get fills p with a part and returns true, or returns false.
func (d *Disk) Get(k Key, p []byte) bool {
	d.mu.Lock()
	e := d.mu.known[k]
	if e != nil {
		d.mu.order.MoveToFront(e)
	}
	d.mu.Unlock()
	if e == nil {
		return false
	}
	if err := d.read(k, p); err != nil {
		d.drop(e)
		return false
	}
	return true
}

func (d *Disk) read(k Key, p []byte) error {
	f, err := d.fs.Open(filepath.Join(d.dir, k.file()))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.ReadAt(p, 0); err != nil {
		return err
	}
	var sum [crcSize]byte
	if n, err := f.ReadAt(sum[:], int64(len(p))); n < crcSize {
		return err
	}
	if binary.LittleEndian.Uint32(sum[:]) != checksum(k, p) {
		return errBroken
	}
	return nil
}

var errBroken = errors.New("checksum differs")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(k Key, p []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(k.file()), castagnoli), castagnoli, p)
}

// drop forgets a part whose file is broken.
func (d *Disk) drop(e *list.Element) {
	d.mu.Lock()
	k := e.Value.(Key)
	same := d.mu.known[k] == e
	if same {
		d.forget(e)
	}
	d.mu.Unlock()
	if same {
		d.remove([]Key{k})
	}
}

// forget takes a part off the list. The caller holds d.mu.
func (d *Disk) forget(e *list.Element) {
	k := d.mu.order.Remove(e).(Key)
	delete(d.mu.known, k)
	d.mu.bytes -= k.taken()
}

// Put keeps a part. Nobody else may be putting the same one. An error means
// that it is not kept, and nor will others for a while.
func (d *Disk) Put(k Key, p []byte) error {
	if k.taken() > d.limit {
		return nil
	}
	d.mu.Lock()
	known, paused := d.mu.known[k] != nil, time.Now().Before(d.mu.paused)
	d.mu.Unlock()
	if known || paused {
		return nil
	}
	err := d.write(k, p)
	d.mu.Lock()
	if err != nil {
		d.mu.paused = time.Now().Add(pauseAfter)
		d.mu.Unlock()
		return fmt.Errorf("cache file: %w", err)
	}
	if d.mu.known[k] == nil {
		d.mu.known[k] = d.mu.order.PushFront(k)
		d.mu.bytes += k.taken()
	}
	gone := d.evict()
	d.mu.Unlock()
	d.remove(gone)
	return nil
}

// write makes the file appear whole or not at all, but for a crash (K3).
func (d *Disk) write(k Key, p []byte) error {
	if err := d.fs.MkdirAll(filepath.Join(d.dir, k.dir())); err != nil {
		return err
	}
	name := filepath.Join(d.dir, k.file())
	f, err := d.fs.Create(name + tmpSuffix)
	if err != nil {
		return err
	}
	_, err = f.Write(p)
	if err == nil {
		_, err = f.Write(binary.LittleEndian.AppendUint32(nil, checksum(k, p)))
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = d.fs.Rename(name+tmpSuffix, name)
	}
	if err != nil {
		_ = d.fs.Remove(name + tmpSuffix) // the next start removes it otherwise
	}
	return err
}

// evict forgets parts until the rest is within the limit. The caller holds
// d.mu, and removes the files.
func (d *Disk) evict() (gone []Key) {
	for d.mu.bytes > d.limit {
		e := d.mu.order.Back()
		gone = append(gone, e.Value.(Key))
		d.forget(e)
	}
	return gone
}

// remove removes files, and folders that get empty. A failure leaves a file
// that nobody knows until the next start.
func (d *Disk) remove(keys []Key) {
	for _, k := range keys {
		_ = d.fs.Remove(filepath.Join(d.dir, k.file()))
	}
	for _, k := range keys {
		_ = d.fs.Remove(filepath.Join(d.dir, k.dir())) // unless something is in it
	}
}

// Retain removes what is of blocks that keep does not confirm.
func (d *Disk) Retain(keep func(tenant, block string) bool) {
	d.mu.Lock()
	var gone []Key
	for k, e := range d.mu.known {
		if !keep(k.Tenant, k.Block) {
			gone = append(gone, k)
			d.forget(e)
		}
	}
	d.mu.Unlock()
	d.remove(gone)
}
