package ingester

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
)

const (
	cutInterval = 5 * time.Second        // how often heads are looked at
	pressPause  = 100 * time.Millisecond // between looks when memory is short
	// relief is what heads may still hold, in percent of their limit, when
	// enough of them have been chosen to be cut.
	relief = 50
	// flushes is how many heads become blocks at a time, over all tenants. Each
	// is written streaming, so that this bounds the memory it takes.
	flushes = 2
)

// cutLoop cuts heads that are old or large, a few at a time. What a moment's
// situation asks for is decided anew whenever a place is free.
func (i *Ingester) cutLoop(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	tick := time.NewTicker(cutInterval)
	defer tick.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	pressed := i.pressed
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
			pressed = i.pressed
			continue
		case <-tick.C:
		case <-pressed:
			pressed = nil
			pause.Reset(pressPause)
		}
		i.schedule(ctx, time.Now(), &running)
	}
}

// press asks the cut loop to look at the heads soon.
func (i *Ingester) press() {
	select {
	case i.pressed <- struct{}{}:
	default:
	}
}

// schedule begins as many flushes as there are places for.
func (i *Ingester) schedule(ctx context.Context, now time.Time, running *sync.WaitGroup) {
	for _, j := range i.plan(now) {
		select {
		case i.places <- struct{}{}:
		default:
			return
		}
		if !j.inst.flushing.CompareAndSwap(false, true) {
			<-i.places
			continue
		}
		running.Go(func() {
			err := i.flushOne(ctx, j, now)
			j.inst.flushing.Store(false)
			<-i.places
			if err == nil {
				i.press() // for the next one
			}
		})
	}
}

// flushOne cuts one head. After a failure its tenant has to wait a little.
func (i *Ingester) flushOne(ctx context.Context, j job, now time.Time) error {
	var err error
	if j.whole {
		err = j.inst.db.Flush(ctx)
	} else {
		_, err = j.inst.db.MaybeFlush(ctx, now)
	}
	i.wantShipping()
	if err != nil && ctx.Err() == nil {
		j.inst.notBefore.Store(time.Now().Add(cutInterval).UnixNano())
		i.metrics.flushFailures.Inc()
		i.deps.Logger.Error("cut failed; the heads stay in memory and in the write-ahead log, and are tried again", "tenant", j.inst.tenant, "err", err)
	}
	return err
}

// job is a tenant whose heads are to become blocks.
type job struct {
	inst   *instance
	stats  db.HeadStats
	due    bool
	forced bool // the disk asks for it
	whole  bool // cut the head whether or not it is old or large
}

// plan says whose heads to cut, the most urgent first: where memory is short,
// the largest, until enough will be free; then those for which the disk has no
// room; then those whose time has come, the oldest first.
func (i *Ingester) plan(now time.Time) []job {
	var all []job
	var sum, left int64 // left: what is not on its way to the disk yet
	for _, inst := range i.instances() {
		j := job{inst: inst, stats: inst.db.HeadStats(), due: inst.db.Due(now)}
		j.forced = i.disk.wants(j.stats)
		sum += j.stats.Bytes
		left += j.stats.Bytes - j.stats.Cut
		all = append(all, j)
	}
	limit := i.budget.Limits().Bytes
	slices.SortStableFunc(all, func(a, b job) int { return cmp.Compare(b.size(), a.size()) })
	short := db.Pressed(sum, limit)
	var urgent, rest []job
	for _, j := range all {
		switch {
		case short && left > limit/100*relief && j.size() > 0:
			left -= j.size()
			j.whole = true
			urgent = append(urgent, j)
		case j.forced || j.due:
			j.whole = j.forced
			rest = append(rest, j)
		}
	}
	slices.SortStableFunc(rest, func(a, b job) int {
		if a.forced != b.forced {
			return cmp.Compare(b.rank(), a.rank())
		}
		return a.stats.Oldest.Compare(b.stats.Oldest)
	})
	return slices.DeleteFunc(append(urgent, rest...), func(j job) bool { return j.inst.notBefore.Load() > now.UnixNano() })
}

// size is the memory that cutting the head would set free.
func (j job) size() int64 { return j.stats.Bytes - j.stats.Cut }

func (j job) rank() int {
	if j.forced {
		return 1
	}
	return 0
}
