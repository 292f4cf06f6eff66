package importer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"

	"github.com/hearth-profiles/hearth/backend-server/internal/db"
	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/distributor"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/progress"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/pprof"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

// ProfileOptions say what becomes of files of pprof.
type ProfileOptions struct {
	Tenant string
	// Labels are given to all profiles; __name__ among them names them, otherwise
	// the sample types do.
	Labels []profile.LabelPair
	// Levels are the labels that the folders below a root stand for.
	Levels []string
	Limits distributor.Limits // but for those of age
	// MaxMemory is how large the head may get before blocks are cut, in bytes.
	MaxMemory int64
	TempDir   string // empty: that of the operating system
	Bar       *progress.Bar
	// Bad is told of each file that was not taken.
	Bad func(file string, err error)
}

// ProfileResult is what became of files.
type ProfileResult struct {
	Files, Imported, Bad int
	Blocks               int
	Bytes                int64 // of the blocks
}

// Profiles imports the files of pprof below some folders into the bucket.
func Profiles(ctx context.Context, bkt objstore.Bucket, o ProfileOptions, roots ...string) (res ProfileResult, err error) {
	if err := tenant.Validate(o.Tenant); err != nil {
		return res, err
	}
	files, err := find(ctx, roots, o.Levels)
	if err != nil {
		return res, err
	}
	res.Files = len(files)
	o.Limits.RejectOlderThan, o.Limits.RejectNewerThan = 0, 0
	dir, err := os.MkdirTemp(o.TempDir, "hearth-import-")
	if err != nil {
		return res, fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// What is lost with a crash of the machine is imported again.
	database, err := db.Open(ctx, dir, db.Options{WALSync: wal.SyncInterval})
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, database.Close()) }()
	p := &profileImport{o: o, bkt: bkt, db: database, res: &res}
	p.distributor = distributor.New(distributor.Config{}, o.Limits, p, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	return res, p.run(tenant.With(ctx, o.Tenant), files)
}

// profileImport is one import of files.
type profileImport struct {
	o           ProfileOptions
	bkt         objstore.Bucket
	db          *db.DB
	distributor *distributor.Distributor
	res         *ProfileResult
}

// Push implements distributor.Ingester.
func (p *profileImport) Push(ctx context.Context, _ string, recs []profile.Record) []error {
	return p.db.Append(ctx, recs)
}

func (p *profileImport) run(ctx context.Context, files []found) error {
	good, err := p.order(ctx, files)
	if err != nil {
		return err
	}
	total := int64(0)
	for _, f := range good {
		total += f.size
	}
	p.o.Bar.Begin("importing", total, progress.Bytes)
	defer p.o.Bar.End()
	for i := range good {
		if err := p.file(ctx, &good[i]); err != nil {
			return err
		}
		p.o.Bar.Add(good[i].size)
		sameTime := i+1 < len(good) && good[i+1].time == good[i].time
		if !sameTime && p.db.HeadStats().Bytes > p.o.MaxMemory {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
	}
	return p.flush(ctx)
}

// order reads the times of files and sorts them. What cannot be decoded is left
// out.
func (p *profileImport) order(ctx context.Context, files []found) ([]found, error) {
	p.o.Bar.Begin("reading times", int64(len(files)), progress.Count)
	defer p.o.Bar.End()
	var dec pprof.Decoder
	opts := pprof.Options{MaxSize: int64(p.o.Limits.MaxProfileSize)}
	good := files[:0]
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if _, err := f.read(&dec, opts); err != nil {
			p.bad(f.path, err)
		} else {
			good = append(good, f)
		}
		dec.Reset()
		p.o.Bar.Add(1)
	}
	byTime(good)
	return good, nil
}

func (p *profileImport) bad(file string, err error) {
	p.res.Bad++
	p.o.Bad(file, err)
}

// file imports one file. The error is one that ends the import.
func (p *profileImport) file(ctx context.Context, f *found) error {
	raw, err := os.ReadFile(f.path)
	if err != nil {
		p.bad(f.path, err)
		return nil
	}
	series := upload.Series{Labels: withDefaults(p.o.Labels, f.labels), Profiles: []upload.Profile{{Data: raw, Time: f.mtime}}}
	series.Name = func(types []profile.ValueType) string { return pprof.MetricName(types, nil) }
	result, err := p.distributor.Push(ctx, []upload.Series{series})
	if err == nil {
		err = result.Err()
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		p.res.Imported++
	case len(result.Refused) > 0:
		p.bad(f.path, result.Refused[0].Err)
	default:
		p.bad(f.path, err)
	}
	return nil
}

// withDefaults returns labels, and those of others whose names are not there.
func withDefaults(ls, others []profile.LabelPair) []profile.LabelPair {
	out := slices.Clone(ls)
	for _, o := range others {
		if !slices.ContainsFunc(ls, func(l profile.LabelPair) bool { return l.Name == o.Name }) {
			out = append(out, o)
		}
	}
	return out
}

// forGood is long enough after any block that it may be dropped.
const forGood = 24 * time.Hour

// flush cuts blocks, brings them to the bucket and removes them here.
func (p *profileImport) flush(ctx context.Context) error {
	if err := p.db.Flush(ctx); err != nil {
		return err
	}
	for _, b := range p.db.Unshipped() {
		if err := ship(ctx, p.bkt, p.o.Tenant, b.Dir, &b.Meta); err != nil {
			return err
		}
		p.res.Blocks++
		p.res.Bytes += b.Meta.Size()
		if err := p.db.MarkShipped(b.ID, time.Now()); err != nil {
			return err
		}
		if err := p.db.DropLocal(b.ID, time.Now().Add(forGood)); err != nil {
			return err
		}
	}
	return nil
}
