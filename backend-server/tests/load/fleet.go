package main

import (
	"context"
	"fmt"
	"time"

	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
)

// fleet is processes that are measured as one.
type fleet struct {
	subject *subject
	all     []*server
	entries []*server // those that take pushes
	stores  []*server // those that keep profiles
	// idle is the share of a core that all of them take when nothing is asked
	// of them.
	idle float64
}

// alone is a process that does everything.
func alone(s *server) *fleet {
	one := []*server{s}
	return &fleet{subject: s.subject, all: one, entries: one, stores: one}
}

func (f *fleet) kill() {
	for _, s := range f.all {
		s.kill()
	}
}

// cpu returns the CPU time that all processes together have taken.
func (f *fleet) cpu() (sum time.Duration) {
	for _, s := range f.all {
		sum += cpuTime(s.pid())
	}
	return sum
}

// maxRSS adds up the most memory that each process has had, in bytes.
func (f *fleet) maxRSS() (sum int64) {
	for _, s := range f.all {
		sum += maxRSS(s.pid())
	}
	return sum
}

func (f *fleet) mallocs(ctx context.Context) (sum float64, err error) {
	for _, s := range f.all {
		n, err := s.mallocs(ctx)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// copies returns how many profiles, or sample types of profiles, the stores
// together have stored since they were started.
func (f *fleet) copies(ctx context.Context) (sum float64, err error) {
	for _, s := range f.stores {
		page, err := s.get(ctx, "/metrics")
		if err != nil {
			return 0, fmt.Errorf("metrics: %w", err)
		}
		// A vector that has counted nothing is not there.
		if n, err := sumOf(page, f.subject.copies); err == nil {
			sum += n
		}
	}
	return sum, nil
}

func (f *fleet) pushers() (out []pushv1connect.PusherServiceClient) {
	for _, s := range f.entries {
		out = append(out, pushv1connect.NewPusherServiceClient(client, s.url))
	}
	return out
}

func (f *fleet) flush(ctx context.Context) error {
	for _, s := range f.stores {
		if err := f.subject.flush(ctx, s); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
	}
	return nil
}

// stored returns the bytes of the blocks of all processes.
func (f *fleet) stored() (sum int64, err error) {
	for _, s := range f.stores {
		n, err := f.subject.stored(s.dir)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// settle waits until the processes have nothing more to do and, if they have
// been asked to flush, that is complete; but not for ever: a server may have
// work that never ends.
func (f *fleet) settle(ctx context.Context, o *options, flushed bool) error {
	const second = time.Second
	busy := second/20 + time.Duration(f.idle*float64(second))
	deadline := time.Now().Add(o.patience)
	for quiet := 0; quiet < 3; {
		before := f.cpu()
		if err := f.wait(ctx, second); err != nil {
			return err
		}
		quiet++
		if f.cpu()-before > busy {
			quiet = 0
		}
		left, err := false, error(nil)
		if flushed {
			left, err = f.left()
		}
		switch {
		case err != nil:
			return err
		case time.Now().Before(deadline):
			if left {
				quiet = 0
			}
		case left:
			return fmt.Errorf("after %s the flush is not complete: there is %s", o.patience, f.subject.pending)
		default:
			fmt.Fprintf(o.log, "%s: still busy after %s; going on\n", f.subject.name, o.patience)
			return nil
		}
	}
	return nil
}

// wait lets time pass; none of the processes may end meanwhile.
func (f *fleet) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
	}
	for _, s := range f.all {
		select {
		case <-s.exited:
			return s.failure()
		default:
		}
	}
	return nil
}

func (f *fleet) left() (bool, error) {
	for _, s := range f.stores {
		if left, err := f.subject.left(s.dir); left || err != nil {
			return left, err
		}
	}
	return false, nil
}
