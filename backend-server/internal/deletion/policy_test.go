package deletion_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/deletion"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)

const day = 24 * time.Hour

func keep(t *testing.T, s string) deletion.Keep {
	k, err := deletion.ParseKeep(s)
	require.NoError(t, err)
	return k
}

func TestCutoffIsAFullHour(t *testing.T) {
	p := deletion.Policy{Period: 30 * day}
	rules := p.Rules(now)
	require.Len(t, rules, 1)
	require.Equal(t, deletion.BeginningOfTime, rules[0].Range.Start)
	require.EqualValues(t, time.Date(2026, 2, 2, 5, 0, 0, 0, time.UTC).UnixMilli()-1, rules[0].Range.End)
	require.NoError(t, rules[0].Check())

	later := p.Rules(now.Add(53 * time.Minute))
	require.Equal(t, rules, later, "all through the hour")
	next := p.Rules(now.Add(54 * time.Minute))
	require.NotEqual(t, rules[0].ID, next[0].ID)
	require.Positive(t, next[0].ID.Compare(rules[0].ID))
	other := deletion.Policy{Keep: []deletion.Keep{keep(t, `{a="b"}=30d`)}}
	require.NotEqual(t, rules[0].ID, other.Rules(now)[0].ID)
	require.Empty(t, (&deletion.Policy{}).Rules(now))
}

// For each series the first rule that matches decides, else the period.
func TestFirstMatchDecides(t *testing.T) {
	periods := []time.Duration{0, 10 * day, 20 * day, 30 * day}
	selectors := []string{`{env="prod"}`, `{env="dev"}`, `{team="a"}`, `{team!="a"}`, `{env=~"prod|test", team="b"}`, `{}`}
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		p := deletion.Policy{Period: periods[rng.IntN(4)]}
		for range rng.IntN(5) {
			k := keep(t, selectors[rng.IntN(len(selectors))]+"=0")
			k.Period = periods[rng.IntN(4)]
			p.Keep = append(p.Keep, k)
		}
		rules := p.Rules(now)
		for _, env := range []string{"", "prod", "dev", "test"} {
			for _, team := range []string{"", "a", "b"} {
				ls := labels.FromStrings("env", env, "team", team)
				period := p.Period
				for i := len(p.Keep) - 1; i >= 0; i-- {
					if matches(p.Keep[i].Matchers, ls) {
						period = p.Keep[i].Period
					}
				}
				for age := 5 * day; age < 40*day; age += 10 * day {
					at := profile.UnixMilli(now.Add(-age).UnixMilli())
					require.Equal(t, period > 0 && age > period, rules.Deletes(ls, at), "seed %d: %v, %s for %d", seed, p, ls, age/day)
				}
			}
		}
	}
}

func matches(ms []*labels.Matcher, ls labels.Labels) bool {
	for _, m := range ms {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// What is kept for less than the period does not keep the period's rule from
// being about everything.
func TestShorterRulesAreNoExceptions(t *testing.T) {
	p := deletion.Policy{Period: 30 * day, Keep: []deletion.Keep{keep(t, `{env="dev"}=1d`), keep(t, `{env="prod"}=1y`), keep(t, `{env="test"}=30d`)}}
	rules := p.Rules(now)
	require.Len(t, rules, 4)
	require.Empty(t, rules[1].Except)
	require.Len(t, rules[2].Except, 1)
	require.Equal(t, `{env="prod"}`, deletion.Selector(rules[3].Except[0]))
	require.Len(t, rules[3].Except, 1)
}

func TestKeepAndPeriodAreReadBack(t *testing.T) {
	for in, want := range map[string]string{
		`{env="prod"}=1y`:               `{env="prod"}=1y`,
		` {a=~"x}=1|y", "b.c"!=""} = 0`: `{a=~"x}=1|y", "b.c"!=""}=0`,
		`{}=36h`:                        `{}=36h`,
		`{}=1h30m`:                      `{}=1h30m0s`,
		`cpu{}=14d`:                     `{__name__="cpu"}=2w`,
	} {
		k := keep(t, in)
		require.Equal(t, want, k.String())
		require.Equal(t, want, keep(t, k.String()).String())
	}
	for in, want := range map[string]string{
		``: "is no rule", `30d`: "is no rule", `{a="b"}`: "is no rule", `{a="b"}=`: "no time to keep", `{a="b"}=59m`: "1h or more",
		`{a="b"}=-3d`: "no time", `{a="b"}=99999d`: "no time", `{a=b}=3d`: "label selector", `{__type__="cpu"}=3d`: "deleted together", `{a="b"}=300y`: "no time",
	} {
		_, err := deletion.ParseKeep(in)
		require.ErrorContains(t, err, want, in)
	}
}

func TestFlags(t *testing.T) {
	var c deletion.Config
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	c.RegisterFlags(fs)
	require.Empty(t, c.Validate(), "defaults")
	require.NoError(t, config.Load(fs, &config.File{}, []string{`-retention.rules={a="b",c="d"}=1y`, `-retention.rules={}=2d`, "-retention.period=30d", "-retention.max-bytes=1GiB"}))
	require.Empty(t, c.Validate())
	r, err := deletion.NewRetention(c, nil, nil)
	require.NoError(t, err)
	p := r.Policy("x")
	require.Equal(t, 30*day, p.Period)
	require.Equal(t, `{a="b", c="d"}=1y`, p.Keep[0].String())
	require.EqualValues(t, 1<<30, r.MaxBytes("x"))
	require.Len(t, r.Rules("x", now), 2, "nothing gets past {}")

	require.NoError(t, config.Load(fs, &config.File{}, []string{`-retention.rules={`, "-retention.period=soon", "-retention.max-bytes=-1"}))
	problems := c.Validate()
	require.Len(t, problems, 3)
	require.ErrorContains(t, problems[0], `-retention.period: "soon" is not allowed`)
	require.ErrorContains(t, problems[1], `-retention.rules: "{" is not allowed`)
	require.ErrorContains(t, problems[2], `-retention.max-bytes`)
	_, err = deletion.NewRetention(c, nil, nil)
	require.Error(t, err)
}

func FuzzParseKeep(f *testing.F) {
	f.Add(`{env="prod"}=1y`)
	f.Add(`cpu{"a.b"=~"x|y"}=36h`)
	f.Fuzz(func(t *testing.T, s string) {
		k, err := deletion.ParseKeep(s)
		if err != nil {
			return
		}
		again, err := deletion.ParseKeep(k.String())
		require.NoError(t, err)
		require.Equal(t, k.String(), again.String())
		require.True(t, k.Period == 0 || k.Period >= time.Hour)
	})
}
