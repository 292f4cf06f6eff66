//go:build unix

package replicate

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/flat"
)

// cpuTime returns what the process has used of the processor.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPush is what replication adds to a profile: it is encoded once, sent
// to as many ingesters over loopback, and decoded by each.
func BenchmarkPush(b *testing.B) {
	for _, ingesters := range []int{1, 2, 3} {
		for _, together := range []int{1, 16} {
			b.Run(fmt.Sprintf("ingesters=%d/profiles=%d", ingesters, together), func(b *testing.B) {
				benchmarkPush(b, ingesters, together)
			})
		}
	}
}

func benchmarkPush(b *testing.B, ingesters, together int) {
	var addrs []string
	for range ingesters {
		addr, _ := serve(b, 0, accept)
		addrs = append(addrs, addr)
	}
	c := newClient(b)
	recs, items := make([]profile.Record, together), make([]int, together)
	for i := range items {
		items[i] = i
		recs[i] = records(b, 1)[0]
	}
	var fb flat.Batch
	used := cpuTime(b)
	b.ReportAllocs()
	for b.Loop() {
		fb.Encode(recs)
		var all sync.WaitGroup
		for _, addr := range addrs {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if errs := c.Push(ctx, &cluster.Peer{Addr: addr}, "t", &fb, items); errs != nil {
					panic(errs[0])
				}
			})
		}
		all.Wait()
	}
	n := float64(b.N * together)
	b.ReportMetric(float64(cpuTime(b)-used)/n/1e3, "cpu-µs/profile")
	b.ReportMetric(float64(fb.MessageSize(items))/float64(together), "wire-B/profile")
}
