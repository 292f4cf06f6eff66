package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grafana/dskit/ring"
	"github.com/grafana/dskit/services"
	"github.com/stretchr/testify/require"
)

// sightings is what a process sees of a member, from when it first sees it.
type sightings struct {
	mu     sync.Mutex
	states []string // without repetition; "gone" when the ring has no such member
	tokens []ring.Tokens
}

// follow watches a member until the test ends.
func (p *process) follow(id string) *sightings {
	s := &sightings{}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		p.store.WatchKey(ctx, string(Ingester), func(v any) bool {
			m, ok := ring.GetOrCreateRingDesc(v).Ingesters[id]
			state := "gone"
			if ok {
				state = m.State.String()
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if n := len(s.states); (n == 0 && ok) || (n > 0 && s.states[n-1] != state) {
				s.states = append(s.states, state)
			}
			if ok && (len(s.tokens) == 0 || !slices.Equal(s.tokens[len(s.tokens)-1], m.Tokens)) {
				s.tokens = append(s.tokens, m.Tokens)
			}
			return true
		})
	})
	p.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return s
}

// seen returns the states, PENDING and JOINING left out: they may be too short
// to be seen.
func (s *sightings) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, state := range s.states {
		if state != "PENDING" && state != "JOINING" && (len(out) == 0 || out[len(out)-1] != state) {
			out = append(out, state)
		}
	}
	return strings.Join(out, " ")
}

// willEnd waits until the last state is want, whether heartbeats arrive or not.
func (s *sightings) willEnd(t *testing.T, want string) {
	t.Helper()
	eventually(t, func() (string, bool) { got := s.seen(); return got, strings.HasSuffix(got, want) }, "ends "+want)
}

func (s *sightings) places() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tokens)
}

// restarted stops a member to come back, twice, and then for good.
func restarted(t *testing.T) {
	l := newLAN(t, 12)
	slow := []string{"-ingester.ring.auto-forget-after=0"}
	p1, p3 := l.process(1, Role{}, slow...), l.process(3, Role{}, slow...)
	var leaves, drained atomic.Bool
	var views []*sightings // of p2
	second := func() *process {
		p := l.process(2, Role{}, slow...)
		p.member.role = Role{
			Service: services.NewIdleService(nil, func(error) error {
				if s := p.member.lifecycle.GetState(); !leaves.Load() && s != ring.LEAVING {
					return fmt.Errorf("the role is stopped while %s", s)
				}
				return nil
			}),
			Drain: func(context.Context) error {
				drained.Store(true)
				for _, v := range views {
					v.willEnd(t, "LEAVING")
				}
				return nil
			},
			Leaves: leaves.Load,
		}
		return p
	}
	p2 := second()
	up(p1, p2, p3)
	const all = "p1 ACTIVE, p2 ACTIVE, p3 ACTIVE"
	p1.willSee(all)
	p3.willSee(all)
	views = []*sightings{p1.follow("p2"), p3.follow("p2")}
	tokens := p2.member.lifecycle.GetTokens()
	for _, v := range views { // which see it at its next heartbeat
		v.willEnd(t, "ACTIVE")
	}

	p2.down() // and back before anybody misses it
	for _, v := range views {
		v.willEnd(t, "LEAVING")
	}
	eventually(t, func() (string, bool) {
		set, err := p1.ring.Replicas("t", 1)
		return fmt.Sprint(ids(set), err), err == nil && len(set.Instances) == 2
	}, "writers pass it over")
	readers, err := p1.ring.Readers(t.Context(), "t", 0)
	require.NoError(t, err)
	require.LessOrEqual(t, 2, len(readers.Instances)-readers.MaxErrors, "two of three answer")
	everybody, err := p1.ring.All(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"p1", "p2", "p3"}, []string{everybody[0].Id, everybody[1].Id, everybody[2].Id})
	p2 = second().up() // its data folder is a new one: the ring knows its tokens
	require.Equal(t, tokens, p2.member.lifecycle.GetTokens())
	p1.willSee(all)
	p3.willSee(all)

	p2.down() // and back after it was missed
	p1.willSee("p1 ACTIVE, p2 UNHEALTHY, p3 ACTIVE")
	readers, err = p1.ring.Readers(t.Context(), "t", 0)
	require.NoError(t, err)
	require.Len(t, readers.Instances, 2)
	require.Zero(t, readers.MaxErrors, "it is the one that may be missing")
	p2 = second().up()
	require.Equal(t, tokens, p2.member.lifecycle.GetTokens())
	p1.willSee(all)
	p3.willSee(all)
	require.False(t, drained.Load())

	leaves.Store(true)
	p2.down()
	require.True(t, drained.Load())
	p1.willSee("p1 ACTIVE, p3 ACTIVE")
	p3.willSee("p1 ACTIVE, p3 ACTIVE")
	for _, v := range views {
		require.Equal(t, "ACTIVE LEAVING ACTIVE LEAVING ACTIVE LEAVING gone", v.seen())
		require.Equal(t, 1, v.places(), "its place is the same all along")
	}
}

// suspended stops a process, a real one, for longer than a heartbeat may be late.
// It is missed, or forgotten; it may not take the others, whom it has not heard
// of, for dead.
func suspended(t *testing.T, n int, forget string) {
	l := newLAN(t, n)
	p1, p2 := l.process(1, Role{}, forget), l.process(2, Role{}, forget)
	up(p1, p2)
	asleep := exec.Command(os.Args[0], "-test.run=^TestSleeper$")
	asleep.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", sleeperEnv, n, filepath.Join(t.TempDir(), "tokens")))
	stdin, err := asleep.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, asleep.Start())
	// By kill, since package syscall has not all signals everywhere.
	signal := func(name string) error { return exec.Command("kill", "-"+name, fmt.Sprint(asleep.Process.Pid)).Run() }
	t.Cleanup(func() {
		_ = signal("CONT")
		_ = stdin.Close()
		_ = asleep.Wait()
	})
	const all = "p1 ACTIVE, p2 ACTIVE, p3 ACTIVE"
	p1.willSee(all)
	p2.willSee(all)
	sleeper, others := p1.follow("p3"), []*sightings{p1.follow("p2"), p2.follow("p1")}
	require.NoError(t, signal("STOP"))
	missed := "p1 ACTIVE, p2 ACTIVE, p3 UNHEALTHY"
	if forget != neverForget {
		missed = "p1 ACTIVE, p2 ACTIVE"
	}
	p1.willSee(missed)
	time.Sleep(4 * time.Second) // longer than the others may be silent to the sleeper
	require.NoError(t, signal("CONT"))
	p1.willSee(all)
	p2.willSee(all)
	time.Sleep(5 * time.Second) // in which it would forget
	require.Equal(t, all, p1.sees())
	for _, o := range others {
		require.Equal(t, "ACTIVE", o.seen())
	}
	want := "ACTIVE"
	if forget != neverForget {
		want = "ACTIVE gone ACTIVE"
	}
	require.Equal(t, want, sleeper.seen())
	require.Equal(t, 1, sleeper.places())
}

const (
	sleeperEnv  = "HEARTH_TEST_SLEEPER"
	neverForget = "-ingester.ring.auto-forget-after=0"
)

// TestSleeper is the process that suspended starts, until its input ends.
func TestSleeper(t *testing.T) {
	var n int
	var file string
	if _, err := fmt.Sscan(os.Getenv(sleeperEnv), &n, &file); err != nil {
		t.Skip("a part of TestGossip")
	}
	l := newLAN(t, n)
	l.process(3, Role{}, "-ingester.ring.tokens-file-path="+file).up()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
