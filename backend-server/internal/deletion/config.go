package deletion

import (
	"flag"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Config says how long profiles are kept, of tenants that have no setting of
// their own.
type Config struct {
	Period    string
	Keep      Lines
	MaxBytes  config.Bytes
	Overrides string
}

// Names of flags.
const (
	periodFlag    = "retention.period"
	keepFlag      = "retention.rules"
	maxBytesFlag  = "retention.max-bytes"
	overridesFlag = "retention.overrides"
)

// RegisterFlags declares the flags of retention, with their defaults.
func (c *Config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Period, periodFlag, "0", "How long profiles are kept, such as 36h, 30d or 1y. 0 keeps them for ever.")
	f.Var(&c.Keep, keepFlag, `How long profiles of some series are kept, such as {env="prod"}=1y; may be repeated. The first rule that matches a series decides, whether it keeps its profiles longer or shorter than -`+periodFlag+".")
	f.Var(&c.MaxBytes, maxBytesFlag, "What a tenant may take of the bucket; what is over it goes, the oldest first. 0 means no limit.")
	f.StringVar(&c.Overrides, overridesFlag, "", "YAML file with settings of tenants: a map from tenant to period, rules and max-bytes, which stand for the flags of these names. It is read again when it changes.")
}

// Validate reports every value that is not allowed.
func (c *Config) Validate() []error {
	_, problems := c.policy()
	return problems
}

func (c *Config) policy() (Policy, []error) {
	var problems []error
	p := Policy{MaxBytes: int64(c.MaxBytes)}
	var err error
	if p.Period, err = ParsePeriod(c.Period); err != nil {
		problems = append(problems, config.Problem(periodFlag, c.Period, "1h or more, such as 36h, 30d or 1y, or 0 to keep profiles for ever"))
	}
	for _, line := range c.Keep {
		k, err := ParseKeep(line)
		if err != nil {
			problems = append(problems, config.Problem(keepFlag, line, `a selector and a time, such as {env="prod"}=1y (`+err.Error()+")"))
		}
		p.Keep = append(p.Keep, k)
	}
	if c.MaxBytes < 0 {
		problems = append(problems, config.Problem(maxBytesFlag, c.MaxBytes.String(), "a size, or 0 for no limit"))
	}
	return p, problems
}

// Lines is a list of texts. As a flag it takes one of them and may be repeated.
type Lines []string

// Set implements flag.Value.
func (l *Lines) Set(s string) error {
	*l = append(*l, s)
	return nil
}

// String implements flag.Value.
func (l *Lines) String() string { return strings.Join(*l, " ") }

// Get implements flag.Getter.
func (l *Lines) Get() any { return []string(*l) }
