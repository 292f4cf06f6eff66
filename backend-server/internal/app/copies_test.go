package app

import (
	"bytes"
	"fmt"
	"net"
	nethttp "net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
)

// freePort returns a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().(*net.TCPAddr).Port
}

// member is the settings of the nth member of the cluster that gossips on a
// port.
func member(t *testing.T, n, port int, bucket string) Config {
	t.Helper()
	host := fmt.Sprintf("127.0.96.%d", n)
	cmd, err := Parse([]string{
		"-server.http-listen-address=" + host, "-server.http-listen-port=0", "-server.grpc-listen-address=" + host, "-server.grpc-listen-port=0",
		"-memberlist.bind-addr=" + host, fmt.Sprintf("-memberlist.bind-port=%d", port), fmt.Sprintf("-memberlist.join=127.0.96.1:%d", port), fmt.Sprintf("-instance.id=m%d", n),
		"-db.data-path=" + t.TempDir(), "-storage.filesystem.dir=" + bucket, "-self-profiling.enabled=false", "-ingester.ring.heartbeat-period=1s",
	})
	require.NoError(t, err)
	return cmd.Config
}

// pushOne sends a profile with one sample.
func pushOne(t *testing.T, a *App, value int64) {
	t.Helper()
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}}, PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 1,
		TimeNanos: time.Now().UnixNano(), Sample: []*profile.Sample{{Value: []int64{value}}},
	}
	var b bytes.Buffer
	require.NoError(t, p.Write(&b))
	res, err := nethttp.Post("http://"+a.Addr()+"/ingest?format=pprof&name=app", "application/octet-stream", &b)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 200, res.StatusCode)
}

// What a process has stored alone is found by all when it joins others, though
// nobody but it has a copy.
func TestAloneJoinsOthers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has more loopback addresses than 127.0.0.1 without being told")
	}
	bucket, port := t.TempDir(), freePort(t)
	first := member(t, 1, port, bucket)
	alone := testConfig(t)
	alone.Ingester.DataPath, alone.Storage.Dir = first.Ingester.DataPath, bucket
	a, stop := start(t, alone)
	pushOne(t, a, 3)
	status, _ := request(t, a, "POST", "/ingester/flush", "")
	require.Equal(t, 204, status)
	pushOne(t, a, 5)
	stop()
	// Folders from before there was such a file are those of lone processes.
	require.NoError(t, os.Remove(filepath.Join(alone.Ingester.DataPath, copiesFile)))

	apps := make([]*App, 3)
	ready := make(chan int)
	for i, cfg := range []Config{first, member(t, 2, port, bucket), member(t, 3, port, bucket)} {
		go func() {
			defer func() { ready <- i }()
			apps[i], _ = start(t, cfg)
		}()
	}
	for range apps {
		<-ready
	}
	now := time.Now()
	question := fmt.Sprintf(`{"profileTypeID":"process_cpu:cpu:nanoseconds:cpu:nanoseconds","labelSelector":"{}","start":%d,"end":%d,"step":3600}`,
		now.Add(-time.Hour).UnixMilli(), now.Add(time.Minute).UnixMilli())
	for _, a := range apps {
		for range 10 { // not all ingesters are asked each time
			status, answer := request(t, a, "POST", "/querier.v1.QuerierService/SelectMergeStacktraces", question)
			require.Equal(t, 200, status, answer)
			require.Contains(t, answer, `"total":"8"`)
		}
	}
	left, err := os.ReadFile(filepath.Join(first.Ingester.DataPath, copiesFile))
	require.NoError(t, err)
	require.Equal(t, "3", string(left))
}
