package deletion

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
)

// override is what the file says of a tenant. What it does not say is as for
// everybody.
type override struct {
	Period   *string   `yaml:"period"`
	Rules    *[]string `yaml:"rules"`
	MaxBytes *string   `yaml:"max-bytes"`
}

// parseOverrides reads the policies of tenants. All that is wrong is in the
// error.
func parseOverrides(raw []byte, everybody Policy) (map[string]Policy, error) {
	var file map[string]override
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) { // EOF: it is empty
		return nil, err
	}
	out := make(map[string]Policy, len(file))
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(file)) {
		p, err := file[id].apply(everybody)
		if err = errors.Join(tenant.Validate(id), err); err != nil {
			problems = append(problems, fmt.Errorf("tenant %q: %w", id, err))
		}
		out[id] = p
	}
	return out, errors.Join(problems...)
}

func (o override) apply(p Policy) (Policy, error) {
	var problems []error
	try := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	if o.Period != nil {
		var err error
		p.Period, err = ParsePeriod(*o.Period)
		try(err)
	}
	if o.Rules != nil {
		p.Keep = nil
		for _, line := range *o.Rules {
			k, err := ParseKeep(line)
			try(err)
			p.Keep = append(p.Keep, k)
		}
	}
	if o.MaxBytes != nil {
		var size config.Bytes
		if err := size.Set(*o.MaxBytes); err != nil || size < 0 {
			try(fmt.Errorf("max-bytes is %q; it must be a size such as 512MiB or 2GB, or 0 for no limit", *o.MaxBytes))
		}
		p.MaxBytes = int64(size)
	}
	return p, errors.Join(problems...)
}

// reread is how often the file is looked at.
const reread = 10 * time.Second
