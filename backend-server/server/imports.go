package server

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/hearth-profiles/hearth/backend-server/internal/bucket"
	"github.com/hearth-profiles/hearth/backend-server/internal/importer"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/progress"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// labelFlag collects -label k=v.
type labelFlag []profile.LabelPair

// String implements flag.Value.
func (l *labelFlag) String() string {
	var parts []string
	for _, p := range *l {
		parts = append(parts, p.Name+"="+p.Value)
	}
	return strings.Join(parts, ",")
}

// Set implements flag.Value.
func (l *labelFlag) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is no name=value", s)
	}
	*l = append(*l, profile.LabelPair{Name: name, Value: value})
	return nil
}

func importProfiles() *tool {
	var tenantID, service, name, levels, temp string
	var labels labelFlag
	var deltas bool
	memory := config.Bytes(256 << 20)
	return &tool{
		name: "import",
		usage: "-tenant ID [flags] FOLDER|FILE…\n\n" +
			"Brings files of pprof, compressed or not, into the bucket as blocks, however old they are.\n" +
			"A profile that tells no time is of the time when its file was last written. To import\n" +
			"again changes nothing. The exit code is 1 if there are files that were not taken.",
		flags: func(f *flag.FlagSet) {
			f.StringVar(&tenantID, "tenant", tenant.Anonymous, "Tenant whose profiles they are.")
			f.StringVar(&service, "service-name", "", "The label service_name of all profiles.")
			f.Var(&labels, "label", "A label of all profiles, as name=value; may be given several times.")
			f.StringVar(&name, "name", "", "What is profiled, such as process_cpu or memory: the first part of the profile types. Empty means that the sample types tell.")
			f.StringVar(&levels, "path-labels", "", "Labels that the folders below FOLDER stand for, separated by commas: with \"service_name,pod\" a file FOLDER/shop/pod-1/x.pb.gz gets both. An empty name leaves a folder out.")
			f.BoolVar(&deltas, "deltas", false, "The profiles say what was allocated since the profile before, not since the process began. Also for what \"block export\" has written.")
			f.StringVar(&temp, "temp-dir", "", "Folder for blocks until they are in the bucket; empty means that of the operating system.")
			f.Var(&memory, "max-memory", "How large the profiles in memory may get before blocks are written.")
		},
		run: func(ctx context.Context, c *console, args []string) error {
			if len(args) == 0 {
				return misused("import needs folders or files")
			}
			if service != "" {
				labels = append(labels, profile.LabelPair{Name: profile.LabelServiceName, Value: service})
			}
			if name != "" {
				labels = append(labels, profile.LabelPair{Name: profile.LabelName, Value: name})
			}
			if deltas {
				labels = append(labels, profile.LabelPair{Name: profile.LabelDelta, Value: "false"})
			}
			o := importer.ProfileOptions{
				Tenant: tenantID, Labels: labels, Limits: c.cfg.Limits, MaxMemory: int64(memory), TempDir: temp, Bar: c.bar,
				Bad: func(file string, err error) { c.logf("%s: %v", file, err) },
			}
			if levels != "" {
				o.Levels = strings.Split(levels, ",")
			}
			return runImport(ctx, c, o, args)
		},
	}
}

func runImport(ctx context.Context, c *console, o importer.ProfileOptions, roots []string) error {
	bkt, err := c.openBucket()
	if err != nil {
		return err
	}
	defer func() { _ = bkt.Close() }() // what was uploaded was checked
	res, err := importer.Profiles(ctx, bucket.NewGuard(bkt, false, func() error { return nil }), o, roots...)
	c.bar.End()
	fmt.Fprintf(c.out, "%d of %d files were imported, in %d blocks of %s; %d were not taken.\n", res.Imported, res.Files, res.Blocks, progress.Bytes(res.Bytes), res.Bad)
	if err == nil && res.Bad > 0 {
		return errFound
	}
	return err
}
