package compactor

import (
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/block"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

var (
	hours    = []int64{time.Hour.Milliseconds(), 6 * time.Hour.Milliseconds(), 24 * time.Hour.Milliseconds()}
	midnight = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
)

// sketch is a block as far as planning looks at it.
type sketch struct {
	name    byte
	from    float64 // hours after midnight
	size    int64
	job     byte    // that made it; 0 for none
	created float64 // hours after midnight
}

func (s sketch) meta() *block.Meta {
	m := &block.Meta{ID: ulid.ULID{15: s.name}, MinTime: profile.UnixMilli(after(s.from).UnixMilli()), Files: []block.File{{Size: s.size}}}
	m.MaxTime = m.MinTime + 1
	_ = m.ID.SetTime(ulid.Timestamp(after(s.created)))
	if s.job != 0 {
		m.Compaction = &block.Compaction{Job: ulid.ULID{15: s.job}, Level: 1, Shards: 1}
	}
	return m
}

func after(hours float64) time.Time {
	return midnight.Add(time.Duration(hours * float64(time.Hour)))
}

func TestPlan(t *testing.T) {
	const big, little = 800, 10
	for _, c := range []struct {
		name   string
		now    float64
		blocks []sketch
		want   []string // names of the blocks of each task
	}{
		{"nothing", 48, nil, nil},
		{"one block is as it should be", 48, []sketch{{name: 'a'}}, nil},
		{"an hour that is over", 2.5, []sketch{{name: 'a'}, {name: 'b', from: 0.9}}, []string{"ab"}},
		{"an hour that is over, but not for long", 2.4, []sketch{{name: 'a'}, {name: 'b', from: 0.9}}, nil},
		{"two hours, the day is not over", 4, []sketch{{name: 'a'}, {name: 'b'}, {name: 'c', from: 1}, {name: 'd', from: 1}}, []string{"ab", "cd"}},
		{"what lies about is made a day of at once", 48, []sketch{{name: 'a'}, {name: 'b', from: 7}, {name: 'c', from: 23.9}}, []string{"abc"}},
		{"six hours of hours", 8, []sketch{{name: 'a', job: 1}, {name: 'b', from: 1, job: 2}}, []string{"ab"}},
		{"two days", 60, []sketch{{name: 'a'}, {name: 'b'}, {name: 'c', from: 25}, {name: 'd', from: 30}}, []string{"ab", "cd"}},
		{"a block over a border goes where it begins", 60, []sketch{{name: 'a', from: 23.9}, {name: 'b', from: 1}, {name: 'c', from: 24}}, []string{"ba"}},
		{"shards count as one", 48, []sketch{{name: 'a', job: 1}, {name: 'b', job: 1}}, nil},
		{"shards stay together", 48, []sketch{{name: 'a', job: 1}, {name: 'b', job: 1}, {name: 'c', size: 1}}, []string{"abc"}},
		{"shards are where the first begins", 48, []sketch{{name: 'a', from: 5, job: 1}, {name: 'b', from: 25, job: 1}, {name: 'c'}}, []string{"cab"}},
		{"little that came late has to wait", 48, []sketch{{name: 'a', size: big, job: 1}, {name: 'b', size: little, created: 47}}, nil},
		{"little that came late is merged by itself", 48, []sketch{{name: 'a', size: big, job: 1}, {name: 'b', size: little, created: 47}, {name: 'c', size: little, created: 47}}, []string{"bc"}},
		{"little that has waited", 48, []sketch{{name: 'a', size: big, job: 1}, {name: 'b', size: little, created: 42}}, []string{"ab"}},
		{"much that came late", 48, []sketch{{name: 'a', size: big, job: 1}, {name: 'b', size: big / 8, created: 47}}, []string{"ab"}},
		{"a large one that was never compacted", 48, []sketch{{name: 'a', size: big}, {name: 'b', size: little, created: 47}}, []string{"ab"}},
		{"before 1970", 48, []sketch{{name: 'a', from: -1e6}, {name: 'b', from: -1e6}}, []string{"ab"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var blocks []*block.Meta
			for _, s := range c.blocks {
				blocks = append(blocks, s.meta())
			}
			slices.SortStableFunc(blocks, func(a, b *block.Meta) int { return int(a.MinTime - b.MinTime) })
			var got []string
			for _, task := range plan(blocks, hours, 90*time.Minute, 0, after(c.now)) {
				name := ""
				for _, m := range task.blocks {
					name += string(m.ID[15:])
				}
				got = append(got, name)
				require.NotEmpty(t, task.why)
			}
			require.Equal(t, c.want, got)
		})
	}
}

// Whatever there is, each block is in one task, shards are together, and to plan
// and merge comes to an end.
func TestPlansEnd(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var blocks []*block.Meta
		for i := range 1 + rng.IntN(60) {
			s := sketch{name: byte(i), from: 72 * rng.Float64(), size: 1 + rng.Int64N(1000), created: 72 * rng.Float64()}
			if rng.IntN(3) == 0 {
				s.job = byte(200 + rng.IntN(10))
			}
			blocks = append(blocks, s.meta())
		}
		rounds := 0
		for now := 0.0; now < 200; now += 10 * rng.Float64() {
			for tasks := plan(blocks, hours, time.Hour, 0, after(now)); len(tasks) > 0; tasks = plan(blocks, hours, time.Hour, 0, after(now)) {
				rounds++
				require.Less(t, rounds, 500, "seed %d", seed)
				for _, task := range tasks {
					blocks = carryOut(t, blocks, task, after(now))
				}
			}
		}
		days := map[int64]int{}
		for _, l := range lotsOf(blocks) {
			days[floor(int64(l.start), hours[2])]++
		}
		for day, n := range days {
			require.Equal(t, 1, n, "seed %d, day %d", seed, day)
		}
	}
}

// carryOut takes the blocks of a task out and puts what is made of them in.
func carryOut(t *testing.T, blocks []*block.Meta, task task, now time.Time) []*block.Meta {
	n := len(blocks)
	jobs := map[ulid.ULID]bool{}
	for _, m := range task.blocks {
		if m.Compaction != nil {
			jobs[m.Compaction.Job] = true
		}
	}
	made := &block.Meta{ID: ulid.MustNew(ulid.Timestamp(now), ulid.DefaultEntropy()), MinTime: 1 << 60, Files: []block.File{{Size: task.size()}}, Compaction: &block.Compaction{Job: ulid.Make(), Shards: 1, Level: 1}}
	for _, m := range task.blocks {
		made.MinTime = min(made.MinTime, m.MinTime)
	}
	blocks = slices.DeleteFunc(blocks, func(m *block.Meta) bool { return slices.Contains(task.blocks, m) })
	require.Len(t, blocks, n-len(task.blocks), "in no other task")
	for _, m := range blocks {
		require.False(t, m.Compaction != nil && jobs[m.Compaction.Job], "a shard is left behind")
	}
	return append(blocks, made)
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Interval = time.Millisecond }, "-compactor.interval: "},
		{func(c *Config) { c.After = -1 }, "-compactor.after: "},
		{func(c *Config) { c.DeletionDelay = -1 }, "-compactor.deletion-delay: "},
		{func(c *Config) { c.PartialAfter = 23 * time.Hour }, "-compactor.partial-after: "},
		{func(c *Config) { c.MaxBlockBytes = 0 }, "-compactor.max-block-bytes: "},
		{func(c *Config) { c.Ranges.Values = nil }, "-compactor.ranges: "},
		{func(c *Config) { c.Ranges.Values = []string{"1h", "90m"} }, "-compactor.ranges: "},
		{func(c *Config) { c.Ranges.Values = []string{"1h", "1h"} }, "-compactor.ranges: "},
		{func(c *Config) { c.Ranges.Values = []string{"90s"} }, "-compactor.ranges: "},
		{func(c *Config) { c.Ranges.Values = []string{"a day"} }, "-compactor.ranges: "},
		{func(c *Config) { c.Ranges.Values = []string{"30m", "24h"} }, ""},
	} {
		cfg := defaults()
		c.change(&cfg)
		problems := cfg.Validate()
		if c.want == "" {
			require.Empty(t, problems)
			continue
		}
		require.Len(t, problems, 1, c.want)
		require.ErrorContains(t, problems[0], c.want)
	}
}

func defaults() (c Config) {
	c.RegisterFlags(flag.NewFlagSet("", flag.ContinueOnError))
	return c
}

// What there is no room for is merged in smaller steps, or not at all.
func TestPlanWithinLimits(t *testing.T) {
	var blocks []*block.Meta
	for hour := range int64(12) {
		for range 2 {
			at := profile.UnixMilli(hour * 3_600_000)
			blocks = append(blocks, &block.Meta{ID: ulid.Make(), MinTime: at, MaxTime: at + 1000, Files: []block.File{{Size: 100}}})
		}
	}
	now := time.UnixMilli(0).Add(72 * time.Hour)
	lengths := []int64{3_600_000, 6 * 3_600_000, 24 * 3_600_000}
	for limit, want := range map[int64]int{0: 1, 2400: 1, 2399: 2, 1199: 12, 199: 0} {
		require.Len(t, plan(blocks, lengths, 0, limit, now), want, "limit %d", limit)
	}
}
