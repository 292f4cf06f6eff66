package wal

import (
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// run writes batches until the log is closed. After a failure it writes no
// more but goes on, so that Close is the only end.
func (l *Log) run() {
	defer close(l.stopped)
	var due <-chan time.Time // of the next fsync under SyncInterval
	crowd := 0               // waiters of the last batch
	for !l.drained() {
		var err error
		select {
		case <-l.wake:
			l.linger(crowd)
			crowd, err = l.commit()
		case <-due:
			due = nil
			err = l.out.sync()
		}
		if err != nil {
			l.fail(err)
		} else if due == nil && l.out.dirty && l.opts.Sync == SyncInterval {
			due = time.After(l.opts.Interval)
		}
	}
	if err := l.out.close(); err != nil {
		l.fail(err)
	}
}

// drained tells whether the log is closed and nothing is left to write.
func (l *Log) drained() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.closed && l.mu.pending.records == 0
}

// linger gives writers that were there a moment ago, and are likely to come
// back, the chance to join the batch: it waits until as many wait as did last
// time, but not long. A writer that is alone never waits for others.
func (l *Log) linger(crowd int) {
	if crowd < 2 || l.opts.Sync != SyncAlways || !l.gather(crowd) {
		return
	}
	timer := time.NewTimer(maxLinger)
	defer timer.Stop()
	for l.gather(crowd) {
		select {
		case <-l.wake:
		case <-timer.C:
			return
		}
	}
}

// gather tells whether more waiters are worth waiting for, and asks to be
// woken when they are there.
func (l *Log) gather(crowd int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.mu.pending
	l.mu.gathering = crowd
	return b.records > 0 && b.waiters < crowd && len(b.buf) < fullBatchBytes && l.unusable() == nil
}

// commit writes the pending batch, if there is one, and returns how many
// waited for it.
func (l *Log) commit() (waiters int, err error) {
	b := l.take()
	if b == nil {
		return 0, nil
	}
	start := time.Now()
	if err := l.out.write(b.buf); err != nil {
		return 0, err
	}
	if l.opts.Sync == SyncAlways {
		if err := l.out.sync(); err != nil {
			return 0, err
		}
	}
	waiters = l.finish(b)
	l.opts.Events.Committed(Commit{Records: b.records, Bytes: len(b.buf), Waiters: waiters, Took: time.Since(start)})
	if cap(b.buf) <= keepBufferBytes {
		l.spare = b.buf[:0]
	}
	return waiters, nil
}

// take makes the pending batch the one that is being written.
func (l *Log) take() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.gathering = 0
	b := l.mu.pending
	if b.records == 0 {
		return nil
	}
	l.mu.pending, l.mu.writing = newBatch(l.spare), b
	l.spare = nil
	l.mu.room.Broadcast()
	return b
}

// finish tells those who wait that the batch is durable.
func (l *Log) finish(b *batch) (waiters int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.writing, l.mu.done = nil, b.last
	close(b.ended)
	return b.waiters
}

// fail breaks the log (W4): all who wait, for the batch that was being
// written or the next, get the error.
func (l *Log) fail(err error) {
	l.mu.Lock()
	first := l.mu.err == nil
	if first {
		l.mu.err = fault.New(fault.Unavailable, "wal %s: %w", l.out.dir, err)
	}
	err = l.mu.err
	for _, b := range []*batch{l.mu.writing, l.mu.pending} {
		if b != nil {
			b.err = err
			close(b.ended)
		}
	}
	l.mu.writing, l.mu.pending = nil, newBatch(nil)
	l.mu.room.Broadcast()
	l.mu.Unlock()
	if first {
		l.opts.Events.Broken(err)
	}
}
