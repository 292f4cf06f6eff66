package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/hearth-profiles/hearth/backend-server/internal/blocktool"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/progress"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// placeFlags say which blocks are meant.
type placeFlags struct{ dir, tenant string }

func (p *placeFlags) register(f *flag.FlagSet) {
	f.StringVar(&p.dir, "dir", "", "Folder of blocks, such as tenants/<tenant>/local in a data folder, in the place of the bucket.")
	f.StringVar(&p.tenant, "tenant", "", "Tenant whose blocks are meant; empty means all.")
}

// open returns the place, and a function that must be called.
func (p *placeFlags) open(c *console) (blocktool.Place, func(), error) {
	if p.dir != "" {
		return blocktool.Dir(p.dir), func() {}, nil
	}
	bkt, err := c.openBucket()
	if err != nil {
		return nil, nil, err
	}
	return blocktool.Bucket{BucketReader: bkt}, func() { _ = bkt.Close() }, nil
}

// find lists the blocks that args name, all if there are none.
func (p *placeFlags) find(ctx context.Context, place blocktool.Place, args []string) ([]blocktool.Named, error) {
	var ids []ulid.ULID
	for _, arg := range args {
		id, err := ulid.ParseStrict(arg)
		if err != nil {
			return nil, misused("%q is no ID of a block, which has 26 letters and digits", arg)
		}
		ids = append(ids, id)
	}
	return blocktool.Find(ctx, place, p.tenant, ids)
}

// blocks opens the place, finds the blocks that args name there, all of them if
// there are none, and hands them to do.
func (p *placeFlags) blocks(ctx context.Context, c *console, args []string, do func(blocktool.Place, []blocktool.Named) error) error {
	place, done, err := p.open(c)
	if err != nil {
		return err
	}
	defer done()
	found, err := p.find(ctx, place, args)
	if err != nil {
		return err
	}
	return do(place, found)
}

func blockList() *tool {
	var where placeFlags
	var asJSON, services bool
	return &tool{
		name:  "block list",
		usage: "[flags] [ID…]\n\nLists blocks: their times, how often they were compacted, and how much is in them.",
		flags: func(f *flag.FlagSet) {
			where.register(f)
			f.BoolVar(&asJSON, "json", false, "Write a JSON object for each block, a line each, with all of its meta file.")
			f.BoolVar(&services, "services", true, "Tell the services of blocks that do not say so in their meta files, which takes another read each.")
		},
		run: func(ctx context.Context, c *console, args []string) error {
			return where.blocks(ctx, c, args, func(place blocktool.Place, blocks []blocktool.Named) error {
				list, err := blocktool.List(ctx, place, blocks, services, c.bar)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(c.out, list)
				}
				return writeList(c.out, list)
			})
		},
	}
}

func writeJSON(out io.Writer, list []blocktool.Listed) error {
	e := json.NewEncoder(out)
	for _, l := range list {
		if err := e.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

func stamp(t profile.UnixMilli) string {
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02T15:04:05Z")
}

func writeList(out io.Writer, list []blocktool.Listed) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TENANT\tBLOCK\tFROM\tTO\tLEVEL\tSERIES\tROWS\tSAMPLES\tSIZE\tSERVICES")
	var sum struct{ rows, samples, size int64 }
	for _, l := range list {
		if l.Meta == nil {
			fmt.Fprintf(w, "%s\t%s\t-\t-\t-\t-\t-\t-\t-\t! %s\n", dash(l.Tenant), l.ID, l.Problem)
			continue
		}
		m := l.Meta
		services := strings.Join(l.Services, ",")
		if len(l.Services) > maxNamed {
			services = fmt.Sprintf("%s and %d more", strings.Join(l.Services[:maxNamed], ","), len(l.Services)-maxNamed)
		}
		if l.Problem != "" {
			services = "! " + l.Problem
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", dash(l.Tenant), l.ID, stamp(m.MinTime), stamp(m.MaxTime),
			level(l), m.Stats.Series, m.Stats.Rows, m.Stats.Samples, progress.Bytes(m.Size()), services)
		sum.rows, sum.samples, sum.size = sum.rows+m.Stats.Rows, sum.samples+m.Stats.Samples, sum.size+m.Size()
	}
	fmt.Fprintf(w, "%d blocks\t\t\t\t\t\t%d\t%d\t%s\t\n", len(list), sum.rows, sum.samples, progress.Bytes(sum.size))
	return w.Flush()
}

// maxNamed is how many services are named in a line.
const maxNamed = 8

func dash(s string) string { return cmp.Or(s, "-") }

func level(l blocktool.Listed) string {
	c := l.Meta.Compaction
	if c == nil {
		return "0"
	}
	if c.Shards == 1 {
		return fmt.Sprint(c.Level)
	}
	return fmt.Sprintf("%d (%d/%d)", c.Level, c.Shard+1, c.Shards)
}

func blockVerify() *tool {
	var where placeFlags
	return &tool{
		name:  "block verify",
		usage: "[flags] [ID…]\n\nReads blocks whole, checks every checksum, decodes everything, and compares rows with sums,\nseries and meta file. Tells what is wrong; the exit code is 1 if anything is.",
		flags: where.register,
		run: func(ctx context.Context, c *console, args []string) error {
			return where.blocks(ctx, c, args, func(place blocktool.Place, blocks []blocktool.Named) error {
				return verifyAll(ctx, c, place, blocks)
			})
		},
	}
}

func verifyAll(ctx context.Context, c *console, place blocktool.Place, blocks []blocktool.Named) error {
	total := int64(0)
	for _, b := range blocks {
		total += blocktool.Size(ctx, place, b)
	}
	c.bar.Begin("verifying", total, progress.Bytes)
	bad := 0
	rows, samples := int64(0), int64(0)
	var failed error
	for _, b := range blocks {
		v, err := blocktool.Verify(ctx, place, b, c.bar)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			v.Problems = append(v.Problems, "it could not be read: "+err.Error())
			failed = errFound
		}
		rows, samples = rows+v.Rows, samples+v.Samples
		if len(v.Problems) == 0 {
			continue
		}
		bad++
		c.bar.End()
		for _, p := range v.Problems {
			fmt.Fprintf(c.out, "%s: %s\n", b, p)
		}
		if v.More > 0 {
			fmt.Fprintf(c.out, "%s: and %d more\n", b, v.More)
		}
		failed = errFound
	}
	c.bar.End()
	fmt.Fprintf(c.out, "%d blocks with %d rows and %d samples (%s) were read; something is wrong with %d.\n", len(blocks), rows, samples, progress.Bytes(total), bad)
	return failed
}

func blockInspect() *tool {
	var where placeFlags
	return &tool{
		name:  "block inspect",
		usage: "[flags] ID…\n\nTells what is in blocks: the meta file, the sections, and what there is of each service.",
		flags: where.register,
		run: func(ctx context.Context, c *console, args []string) error {
			if len(args) == 0 {
				return misused("block inspect needs the ID of a block")
			}
			return where.blocks(ctx, c, args, func(place blocktool.Place, blocks []blocktool.Named) error {
				var errs []error
				for _, b := range blocks {
					found, err := blocktool.Inspect(ctx, place, b)
					if err != nil {
						errs = append(errs, fmt.Errorf("block %s: %w", b, err))
						continue
					}
					errs = append(errs, writeInspection(c.out, found))
				}
				return errors.Join(errs...)
			})
		},
	}
}

func writeInspection(out io.Writer, i *blocktool.Inspection) error {
	m := i.Meta
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		fmt.Fprintln(w, strings.TrimSuffix(fmt.Sprintf(strings.Repeat("%v\t", len(cells)), cells...), "\t"))
	}
	row("block", i.Named)
	row("from", stamp(m.MinTime))
	row("to", stamp(m.MaxTime))
	row("made", ulid.Time(m.ID.Time()).UTC().Format(time.RFC3339))
	row("head", m.Parent)
	row("source", m.Source)
	if c := m.Compaction; c != nil {
		row("compacted", fmt.Sprintf("%d times, of %d blocks, shard %d of %d", c.Level, len(c.Inputs), c.Shard+1, c.Shards))
	}
	row("series, rows, samples", fmt.Sprintf("%d, %d, %d", m.Stats.Series, m.Stats.Rows, m.Stats.Samples))
	row("size", fmt.Sprintf("%s, %s a profile, %.1f bytes a sample", progress.Bytes(m.Size()), progress.Bytes(m.Size()/max(1, i.Profiles)), float64(m.Size())/float64(max(1, m.Stats.Samples))))
	row("decoded", fmt.Sprintf("%s, %.1f times as much", progress.Bytes(i.Decoded), float64(i.Decoded)/float64(max(1, m.Size()))))
	row()
	row("SECTION", "OFFSET", "SIZE", "PART", "CRC-32C")
	for _, s := range m.Sections {
		row(s.Name, s.Offset, s.Size, fmt.Sprintf("%.1f%%", 100*float64(s.Size)/float64(max(1, m.Size()))), fmt.Sprintf("%08x", s.CRC))
	}
	row()
	row("SERVICE", "SERIES", "ROWS", "PROFILES", "SAMPLES", "STACKS", "NODES", "LOCATIONS", "FUNCTIONS", "STRINGS", "SYMBOLS", "TYPES")
	for _, s := range i.Services {
		n := s.Symbols
		row(s.Service, s.Series, s.Rows, s.Profiles, s.Samples, n.Stacks, n.Nodes, n.Locations, n.Functions, n.Strings, progress.Bytes(n.Bytes), strings.Join(s.Types, " "))
	}
	row()
	return w.Flush()
}
