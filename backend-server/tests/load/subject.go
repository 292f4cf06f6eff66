package main

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// subject is a server that can be measured.
type subject struct {
	name string
	// command is the command line that starts it with its data below dir.
	command func(dir string, p ports) []string
	// member is the command line that starts it as one process of a cluster;
	// nil means that it is not measured as one.
	member func(s *seat) []string
	// copies is a metric that counts what a process has stored, as profiles or,
	// if copiesByType is set, as sample types of profiles.
	copies       string
	copiesByType bool
	// workers is how many pushes are on their way at a time. A server that
	// holds a push back until it has collected more needs many.
	workers int
	// flush makes the server move what it has in memory to the disk.
	flush func(ctx context.Context, s *server) error
	// pending are files below dir that exist while a flush is not complete.
	pending string
	// blocks are the files below dir that hold one copy of what was flushed.
	blocks []string
	// inMemory says that there is a head to ask before the flush.
	inMemory bool
	// recovers says that what is in memory outlives the process.
	recovers bool
}

// ports are free ports of this machine.
type ports struct{ http, grpc, gossip, raft int }

func (p ports) url(addr string) string {
	return "http://" + net.JoinHostPort(addr, strconv.Itoa(p.http))
}

func subjects(o *options) ([]*subject, error) {
	out, err := namedSubjects(o)
	for _, s := range out {
		if o.workers > 0 {
			s.workers = o.workers
		}
	}
	return out, err
}

func namedSubjects(o *options) ([]*subject, error) {
	out := []*subject{hearth(o.binary)}
	if o.peer == "" {
		return out, nil
	}
	for mode := range strings.SplitSeq(o.modes, ",") {
		switch mode {
		case "v1":
			out = append(out, pyroscopeV1(o.peer))
		case "v2":
			out = append(out, pyroscopeV2(o.peer))
		default:
			return nil, fmt.Errorf("-peer-modes: %q is not allowed; want v1 and v2, separated by commas", mode)
		}
	}
	if o.cluster {
		out = slices.DeleteFunc(out, func(s *subject) bool { return s.member == nil })
	}
	return out, nil
}

func hearth(binary string) *subject {
	return &subject{
		name: "hearth",
		command: func(dir string, p ports) []string {
			return []string{
				binary, "-db.data-path=" + filepath.Join(dir, "data"),
				"-server.http-listen-address=127.0.0.1", fmt.Sprintf("-server.http-listen-port=%d", p.http),
				"-validation.reject-older-than=0", "-self-profiling.enabled=false", "-log.level=warn",
			}
		},
		member:  func(s *seat) []string { return hearthMember(binary, s) },
		copies:  "hearth_ingester_wal_records_total",
		workers: 4,
		flush: func(ctx context.Context, s *server) error {
			return s.post(ctx, "/ingester/flush", "", "")
		},
		blocks:   []string{"data/tenants/*/local/*/*"},
		inMemory: true,
		recovers: true,
	}
}

// peerCommand is what both storage engines of the peer have in common: one
// process, files for the bucket, limits lifted, nothing reported home.
func peerCommand(binary, dir string, p ports, more ...string) []string {
	at := func(name string) string { return filepath.Join(dir, name) }
	return append([]string{
		binary,
		fmt.Sprintf("-server.http-listen-port=%d", p.http), fmt.Sprintf("-server.grpc-listen-port=%d", p.grpc),
		fmt.Sprintf("-memberlist.bind-port=%d", p.gossip),
		"-self-profiling.disable-push=true", "-usage-stats.enabled=false", "-auth.multitenancy-enabled=false",
		"-storage.backend=filesystem", "-storage.filesystem.dir=" + at("bucket"),
		"-pyroscopedb.data-path=" + at("data"), "-compactor.data-dir=" + at("compactor"),
		"-blocks-storage.bucket-store.sync-dir=" + at("sync"),
		"-validation.reject-older-than=0", "-querier.max-query-length=0",
		"-distributor.ingestion-rate-limit-mb=100000", "-distributor.ingestion-burst-size-mb=100000",
		"-ingester.max-global-series-per-tenant=0", "-ingester.min-ready-duration=0s", "-log.level=warn",
	}, more...)
}

func pyroscopeV1(binary string) *subject {
	return &subject{
		name: "pyroscope-v1",
		command: func(dir string, p ports) []string {
			return peerCommand(binary, dir, p, "-architecture.storage=v1", "-write-path=ingester")
		},
		member: func(s *seat) []string { return pyroscopeMember(binary, s) },
		copies: "pyroscope_head_profiles_created_total", copiesByType: true,
		workers: 4,
		flush: func(ctx context.Context, s *server) error {
			return s.post(ctx, "/ingester.v1.IngesterService/Flush", "application/json", "{}")
		},
		pending:  "data/*/head/*",
		blocks:   []string{"data/*/local/*/*"},
		inMemory: true,
	}
}

// pyroscopeV2 keeps nothing in memory: a push waits until a segment with it is
// in the bucket, and segments are merged later.
func pyroscopeV2(binary string) *subject {
	return &subject{
		name: "pyroscope-v2",
		command: func(dir string, p ports) []string {
			meta := func(name string) string { return filepath.Join(dir, "metastore", name) }
			raft := fmt.Sprintf("localhost:%d", p.raft)
			return peerCommand(binary, dir, p, "-architecture.storage=v2", "-write-path=segment-writer",
				fmt.Sprintf("-metastore.address=localhost:%d", p.grpc), fmt.Sprintf("-query-backend.address=localhost:%d", p.grpc),
				"-metastore.min-ready-duration=0s", "-segment-writer.min-ready-duration=0s",
				"-metastore.raft.bind-address="+raft, "-metastore.raft.advertise-address="+raft, "-metastore.raft.server-id="+raft,
				"-metastore.data-dir="+meta("data"), "-metastore.raft.dir="+meta("raft"), "-metastore.raft.snapshots-dir="+meta("raft"))
		},
		workers: 64,
		flush:   func(context.Context, *server) error { return nil },
		blocks:  []string{"bucket/blocks", "bucket/segments"},
	}
}

func (s *subject) left(dir string) (bool, error) {
	if s.pending == "" {
		return false, nil
	}
	found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(s.pending)))
	return len(found) > 0, err
}

// stored returns the bytes of the blocks below dir.
func (s *subject) stored(dir string) (int64, error) {
	var sum int64
	for _, pattern := range s.blocks {
		found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			return 0, fmt.Errorf("blocks: %w", err)
		}
		slices.Sort(found)
		for _, path := range found {
			err := filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() {
					return err
				}
				info, err := d.Info()
				if err == nil {
					sum += info.Size()
				}
				return err
			})
			if err != nil {
				return 0, fmt.Errorf("blocks: %w", err)
			}
		}
	}
	return sum, nil
}

// client talks to the servers; they are on this machine.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
