package distributor

import (
	"flag"
	"strconv"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
)

// Config is what a tenant may send per second, and how long ingesters are
// waited for.
type Config struct {
	RateMB      float64 // MB a second of profiles as sent, per tenant; 0 for no limit
	BurstMB     float64 // MB at once
	PushTimeout time.Duration
}

// RegisterFlags declares the flags of the distributor, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.Float64Var(&c.RateMB, "distributor.ingestion-rate-limit-mb", 0, "Megabytes of profiles, as sent, that a tenant may push per second to all distributors together: each lets pass its share, the limit divided by the number of distributors that are ACTIVE on the ring. 0 means no limit.")
	f.Float64Var(&c.BurstMB, "distributor.ingestion-burst-size-mb", 2, "Megabytes that a tenant may push at once to one distributor when its rate is limited. A larger request costs as much as this.")
	f.DurationVar(&c.PushTimeout, "distributor.push.timeout", 5*time.Second, "How long an ingester of a cluster may take to store profiles. A client waits for a quorum only.")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	var problems []error
	if c.RateMB < 0 {
		problems = append(problems, config.Problem("distributor.ingestion-rate-limit-mb", c.RateMB, "a number of megabytes, or 0 for no limit"))
	}
	if c.RateMB > 0 && c.BurstMB <= 0 {
		problems = append(problems, config.Problem("distributor.ingestion-burst-size-mb", c.BurstMB, "a number of megabytes above 0"))
	}
	if c.PushTimeout <= 0 {
		problems = append(problems, config.Problem("distributor.push.timeout", c.PushTimeout, "a duration above 0"))
	}
	return problems
}

// Limits bound a single series and profile.
type Limits struct {
	MaxLabelNameLength  int
	MaxLabelValueLength int
	MaxLabelNames       int // per series, names beginning with "__" not counted
	MaxProfileSize      config.Bytes
	MaxStackDepth       int
	MaxSampleLabelSets  int
	RejectOlderThan     time.Duration // 0: never
	RejectNewerThan     time.Duration // 0: never
}

// RegisterFlags declares the flags of the limits, with their defaults.
func (l *Limits) RegisterFlags(f *flag.FlagSet) {
	f.IntVar(&l.MaxLabelNameLength, "validation.max-length-label-name", 1024, "Longest label name, in bytes.")
	f.IntVar(&l.MaxLabelValueLength, "validation.max-length-label-value", 2048, "Longest label value, in bytes.")
	f.IntVar(&l.MaxLabelNames, "validation.max-label-names-per-series", 30, "Most labels of a series, not counting names that begin with two underscores.")
	l.MaxProfileSize = pprof.DefaultMaxSize
	f.Var(&l.MaxProfileSize, "validation.max-profile-size-bytes", "Largest profile after decompression.")
	f.IntVar(&l.MaxStackDepth, "validation.max-stack-depth", pprof.DefaultMaxStackDepth, "Most frames of a stack. Of deeper ones the frames nearest the root give way to one frame [truncated].")
	f.IntVar(&l.MaxSampleLabelSets, "validation.max-sample-label-sets", pprof.DefaultMaxSampleLabelSets, "Most distinct label sets among the samples of a profile. Samples with further ones are stored without their labels.")
	f.DurationVar(&l.RejectOlderThan, "validation.reject-older-than", time.Hour, "Refuse profiles taken longer ago than this. 0 means never.")
	f.DurationVar(&l.RejectNewerThan, "validation.reject-newer-than", 10*time.Minute, "Refuse profiles from further in the future than this. 0 means never.")
}

// maxDepthAllowed keeps stacks within what recursive code of clients survives.
const maxDepthAllowed = 1 << 20

// Validate reports every value that is not allowed.
func (l *Limits) Validate() []error {
	var problems []error
	atLeast := func(name string, value, least int) {
		if value < least {
			problems = append(problems, config.Problem(name, value, "a whole number of at least "+strconv.Itoa(least)))
		}
	}
	atLeast("validation.max-length-label-name", l.MaxLabelNameLength, 1)
	atLeast("validation.max-length-label-value", l.MaxLabelValueLength, 1)
	atLeast("validation.max-label-names-per-series", l.MaxLabelNames, 1)
	atLeast("validation.max-sample-label-sets", l.MaxSampleLabelSets, 1)
	if l.MaxStackDepth < 2 || l.MaxStackDepth > maxDepthAllowed {
		problems = append(problems, config.Problem("validation.max-stack-depth", l.MaxStackDepth, "a whole number from 2 to "+strconv.Itoa(maxDepthAllowed)))
	}
	if l.MaxProfileSize < 1 || l.MaxProfileSize > 1<<31-1 {
		problems = append(problems, config.Problem("validation.max-profile-size-bytes", l.MaxProfileSize.String(), "a size below 2GiB"))
	}
	if l.RejectOlderThan < 0 {
		problems = append(problems, config.Problem("validation.reject-older-than", l.RejectOlderThan, "a duration, or 0 for never"))
	}
	if l.RejectNewerThan < 0 {
		problems = append(problems, config.Problem("validation.reject-newer-than", l.RejectNewerThan, "a duration, or 0 for never"))
	}
	return problems
}

func (l *Limits) decoding() pprof.Options {
	return pprof.Options{MaxSize: int64(l.MaxProfileSize), MaxStackDepth: l.MaxStackDepth, MaxSampleLabelSets: l.MaxSampleLabelSets}
}
