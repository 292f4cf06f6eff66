package server

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hearth-profiles/hearth/backend-server/internal/blocktool"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/selector"
)

// timeFlag is a time in RFC 3339, as a date, or as a duration before now.
type timeFlag struct {
	text string
	at   profile.UnixMilli
}

// String implements flag.Value.
func (t *timeFlag) String() string { return t.text }

// Set implements flag.Value.
func (t *timeFlag) Set(s string) error {
	t.text = s
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02"} {
		if at, err := time.Parse(layout, s); err == nil {
			t.at = profile.UnixMilli(at.UnixMilli())
			return nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no time such as 2026-03-01T12:00:00Z, no date and no duration before now", s)
	}
	t.at = profile.UnixMilli(time.Now().Add(-d).UnixMilli())
	return nil
}

// exportFlags are the flags of "block export".
type exportFlags struct {
	where                 placeFlags
	query, typeID, output string
	from, to              timeFlag
}

func blockExport() *tool {
	e := &exportFlags{from: timeFlag{at: blocktool.AllTimes.Start}, to: timeFlag{at: blocktool.AllTimes.End}}
	return &tool{
		name: "block export",
		usage: "[flags]\n\n" +
			"Writes profiles as pprof. With -type all profiles of that type are summed up into one, which\n" +
			"goes to the file -output, or to standard output; without it each profile becomes a file of\n" +
			"its own below the folder -output, where index.tsv tells the labels of each. What several\n" +
			"blocks hold is counted once.",
		flags: e.register,
		run:   e.run,
	}
}

func (e *exportFlags) register(f *flag.FlagSet) {
	e.where.register(f)
	f.StringVar(&e.query, "query", "", "Label selector, such as {service_name=\"shop\"}; empty means everything.")
	f.StringVar(&e.typeID, "type", "", "Profile type to sum up, such as process_cpu:cpu:nanoseconds:cpu:nanoseconds.")
	f.StringVar(&e.output, "output", "", "Folder for the profiles, or file for the sum.")
	f.Var(&e.from, "from", "Time of the first profile: RFC 3339, a date, or a duration before now such as 24h.")
	f.Var(&e.to, "to", "Time of the last profile.")
}

func (e *exportFlags) run(ctx context.Context, c *console, args []string) error {
	if len(args) > 0 {
		return misused("%q is not known", args[0])
	}
	matchers, err := selector.Parse(e.query)
	if err != nil {
		return misused("-query: %v", err)
	}
	sel := blocktool.Selection{Tenant: e.where.tenant, Matchers: matchers, Range: profile.TimeRange{Start: e.from.at, End: e.to.at}}
	if e.where.dir == "" && sel.Tenant == "" {
		sel.Tenant = tenant.Anonymous
	}
	place, done, err := e.where.open(c)
	if err != nil {
		return err
	}
	defer done()
	if e.typeID != "" {
		return e.sum(ctx, c, place, sel)
	}
	if e.output == "" {
		return misused("block export needs -output, the folder for the profiles, or -type")
	}
	n, err := blocktool.ExportEach(ctx, place, sel, e.output, c.bar)
	fmt.Fprintf(c.out, "%d profiles were written to %s.\n", n, e.output)
	return err
}

// sum writes the sum of profiles.
func (e *exportFlags) sum(ctx context.Context, c *console, place blocktool.Place, sel blocktool.Selection) (err error) {
	t, err := profile.ParseType(e.typeID)
	if err != nil {
		return misused("-type: %v", err)
	}
	out := io.Writer(c.out)
	if e.output != "" && e.output != "-" {
		f, err := os.Create(e.output)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		out = f
	}
	return blocktool.ExportMerged(ctx, place, sel, t, out)
}
