package cluster

import (
	"context"
	"strings"
	"sync"

	"github.com/grafana/dskit/kv"
	"github.com/grafana/dskit/ring"
)

// store is the key-value store that rings are kept in, as a name for it that
// exists before it does: rings and members are made before gossip runs. Its
// methods wait for set.
type store struct {
	self   string // ID of this process
	ready  chan struct{}
	client kv.Client // not to be read before ready is closed
}

func newStore(self string) *store { return &store{self: self, ready: make(chan struct{})} }

// set says where the rings are kept. It is called once.
func (s *store) set(client kv.Client) {
	s.client = client
	close(s.ready)
}

func (s *store) wait(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// List implements kv.Client.
func (s *store) List(ctx context.Context, prefix string) ([]string, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.client.List(ctx, prefix)
}

// Get implements kv.Client.
func (s *store) Get(ctx context.Context, key string) (any, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.client.Get(ctx, key)
}

// Delete implements kv.Client.
func (s *store) Delete(ctx context.Context, key string) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.client.Delete(ctx, key)
}

// CAS implements kv.Client.
func (s *store) CAS(ctx context.Context, key string, f func(any) (any, bool, error)) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.client.CAS(ctx, key, func(in any) (any, bool, error) {
		before, _ := s.member(in)
		out, retry, err := f(in)
		if out != nil && err == nil {
			s.hasten(out, before)
		}
		return out, retry, err
	})
}

// member returns this process as a ring has it.
func (s *store) member(v any) (ring.InstanceDesc, bool) {
	d, ok := v.(*ring.Desc)
	if !ok || d == nil {
		return ring.InstanceDesc{}, false
	}
	m, ok := d.Ingesters[s.self]
	return m, ok
}

// hasten lets this process change its state more than once a second. Gossip
// takes what has the later heartbeat, and heartbeats count seconds; without it,
// each state on the way to ACTIVE would take one. A heartbeat that is ahead by
// two seconds harms nobody; that of a member that leaves must not be overtaken
// by it, so only states that come before LEAVING are hastened.
func (s *store) hasten(out any, before ring.InstanceDesc) {
	after, ok := s.member(out)
	if ok && after.Timestamp <= before.Timestamp && after.State != before.State && (after.State == ring.JOINING || after.State == ring.ACTIVE) {
		after.Timestamp = before.Timestamp + 1
		out.(*ring.Desc).Ingesters[s.self] = after
	}
}

// WatchKey implements kv.Client.
func (s *store) WatchKey(ctx context.Context, key string, f func(any) bool) {
	if s.wait(ctx) == nil {
		s.client.WatchKey(ctx, key, f)
	}
}

// WatchPrefix implements kv.Client.
func (s *store) WatchPrefix(ctx context.Context, prefix string, f func(string, any) bool) {
	if s.wait(ctx) == nil {
		s.client.WatchPrefix(ctx, prefix, f)
	}
}

// ring returns a copy of a ring, which may be empty.
func (s *store) ring(ctx context.Context, name Name) (*ring.Desc, error) {
	v, err := s.Get(ctx, string(name))
	if err != nil {
		return nil, err
	}
	return ring.GetOrCreateRingDesc(v), nil
}

// local is the store of a process that is alone: rings in memory. It
// implements kv.Client, for values of *ring.Desc.
type local struct {
	mu      sync.Mutex
	values  map[string]*ring.Desc
	version map[string]uint64
	changed chan struct{} // closed at the next change
}

func newLocal() *local {
	return &local{values: map[string]*ring.Desc{}, version: map[string]uint64{}, changed: make(chan struct{})}
}

func clone(d *ring.Desc) any {
	if d == nil {
		return nil
	}
	return d.Clone()
}

func (l *local) load(key string) (value any, version uint64, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return clone(l.values[key]), l.version[key], l.changed
}

// save stores d, which the caller gives away, if the version is still what it
// was.
func (l *local) save(key string, d *ring.Desc, version uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.version[key] != version {
		return false
	}
	l.values[key] = d
	l.version[key]++
	close(l.changed)
	l.changed = make(chan struct{})
	return true
}

// List implements kv.Client.
func (l *local) List(_ context.Context, prefix string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var keys []string
	for key, d := range l.values {
		if d != nil && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Get implements kv.Client.
func (l *local) Get(_ context.Context, key string) (any, error) {
	value, _, _ := l.load(key)
	return value, nil
}

// Delete implements kv.Client.
func (l *local) Delete(_ context.Context, key string) error {
	for {
		if _, version, _ := l.load(key); l.save(key, nil, version) {
			return nil
		}
	}
}

// CAS implements kv.Client.
func (l *local) CAS(ctx context.Context, key string, f func(any) (any, bool, error)) error {
	for {
		in, version, _ := l.load(key)
		out, retry, err := f(in)
		if err != nil {
			if retry && ctx.Err() == nil {
				continue
			}
			return err
		}
		if out == nil || l.save(key, out.(*ring.Desc).Clone().(*ring.Desc), version) {
			return nil
		}
	}
}

// WatchKey implements kv.Client. It begins with the value that is there, which
// its caller may have missed.
func (l *local) WatchKey(ctx context.Context, key string, f func(any) bool) {
	for seen := uint64(0); ; {
		value, version, changed := l.load(key)
		if version != seen && !f(value) {
			return
		}
		seen = version
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// WatchPrefix implements kv.Client.
func (l *local) WatchPrefix(ctx context.Context, prefix string, f func(string, any) bool) {
	seen := map[string]uint64{}
	for {
		l.mu.Lock()
		fresh, changed := map[string]any{}, l.changed
		for key, version := range l.version {
			if strings.HasPrefix(key, prefix) && seen[key] != version && l.values[key] != nil {
				seen[key], fresh[key] = version, clone(l.values[key])
			}
		}
		l.mu.Unlock()
		for key, value := range fresh {
			if !f(key, value) {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

var (
	_ kv.Client = (*store)(nil)
	_ kv.Client = (*local)(nil)
)
