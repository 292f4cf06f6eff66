package wal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/vfs"
)

// Ticket stands for a record and all before it. The zero Ticket stands for
// nothing and is always durable. Tickets belong to the Log that gave them.
type Ticket uint64

// ErrClosed is what a Log returns after Close.
var ErrClosed = fault.Mark(fault.Unavailable, errors.New("wal closed"))

// Log is an open log. One goroutine of its own writes it; it ends with Close.
// All methods may be called concurrently.
type Log struct {
	opts Options

	// Owned by the committing goroutine.
	out   writer
	spare []byte // buffer for a later batch

	wake    chan struct{} // asks the committing goroutine to look; capacity 1
	stopped chan struct{} // closed when it has ended
	size    atomic.Int64  // bytes on disk

	mu struct {
		sync.Mutex            // never held during I/O
		room       *sync.Cond // signalled when pending is taken, and at the end
		pending    *batch     // being filled
		writing    *batch     // being written, or nil
		last       Ticket     // last one given
		done       Ticket     // last one that is durable
		gathering  int        // waiters that the committing goroutine would like to see; 0: it is not asking
		err        error      // the log is broken (W4)
		closed     bool
	}
}

// batch is a group of records that go to disk together.
type batch struct {
	buf     []byte // framed records
	records int
	waiters int
	last    Ticket
	ended   chan struct{} // closed when it is durable or has failed
	err     error         // valid once ended is closed
}

// Open opens the log in dir, which it makes if it is missing, and begins a new
// segment after those that are there. It reads none of them: see Replay.
// At most one Log may be open on a directory.
func Open(fsys vfs.FS, dir string, opts Options) (*Log, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Log{
		opts:    opts,
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
	l.out = writer{fs: fsys, dir: dir, opts: opts, size: &l.size}
	if err := l.out.open(); err != nil {
		return nil, fmt.Errorf("wal %s: %w", dir, err)
	}
	l.mu.room = sync.NewCond(&l.mu)
	l.mu.pending = newBatch(nil)
	go l.run()
	return l, nil
}

func newBatch(buf []byte) *batch { return &batch{buf: buf, ended: make(chan struct{})} }

// Enqueue puts a copy of payload at the end of the log and returns at once,
// unless several MiB are waiting for the disk already. It is not durable
// before Wait.
func (l *Log) Enqueue(payload []byte) (Ticket, error) {
	if len(payload) > l.opts.MaxRecordBytes {
		return 0, fault.New(fault.TooLarge, "wal record of %d bytes: limit is %d", len(payload), l.opts.MaxRecordBytes)
	}
	sum := checksum(payload)
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.mu.pending.buf) > maxPendingBytes && l.unusable() == nil {
		l.mu.room.Wait()
	}
	if err := l.unusable(); err != nil {
		return 0, err
	}
	b := l.mu.pending
	b.buf = append(appendFrame(b.buf, payload, sum), payload...)
	b.records++
	l.mu.last++
	b.last = l.mu.last
	if b.records == 1 || len(b.buf) >= fullBatchBytes {
		l.nudge()
	}
	return b.last, nil
}

// unusable returns why nothing can be enqueued. Call it with mu held.
func (l *Log) unusable() error {
	if l.mu.err == nil && l.mu.closed {
		return ErrClosed
	}
	return l.mu.err
}

// Wait returns nil when the record of t and all before it are durable, as
// far as Options.Sync promises. An error of ctx says nothing about the record.
func (l *Log) Wait(ctx context.Context, t Ticket) error {
	b, err := l.join(t)
	if b == nil {
		return err
	}
	select {
	case <-b.ended:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("wal wait: %w", context.Cause(ctx))
	}
}

// join finds the batch to wait for; nil when the answer is known.
func (l *Log) join(t Ticket) (*batch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case t > l.mu.last:
		return nil, fmt.Errorf("wal wait: ticket %d, last given is %d", t, l.mu.last)
	case t <= l.mu.done:
		return nil, nil
	case l.mu.err != nil:
		return nil, l.mu.err
	case l.mu.writing != nil && t <= l.mu.writing.last:
		l.mu.writing.waiters++
		return l.mu.writing, nil
	}
	l.mu.pending.waiters++
	if l.mu.gathering > 0 && l.mu.pending.waiters >= l.mu.gathering {
		l.nudge()
	}
	return l.mu.pending, nil
}

// Last returns the ticket that covers everything enqueued so far.
func (l *Log) Last() Ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.last
}

// Size returns the bytes on disk, older segments included.
func (l *Log) Size() int64 { return l.size.Load() }

// Close writes and syncs what is enqueued and closes the log. Tickets can
// still be waited for. A broken log returns its error. Closing again waits
// for the first and returns the same.
func (l *Log) Close() error {
	l.mu.Lock()
	l.mu.closed = true
	l.mu.room.Broadcast()
	l.mu.Unlock()
	l.nudge()
	<-l.stopped
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.err
}

func (l *Log) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
