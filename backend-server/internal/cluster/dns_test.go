package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// zone is a name server's content.
type zone struct {
	hosts map[string][]string
	srv   map[string][]*net.SRV
	err   error
}

func (z *zone) LookupHost(_ context.Context, host string) ([]string, error) {
	if z.err != nil {
		return nil, z.err
	}
	if ips, ok := z.hosts[host]; ok {
		return slices.Clone(ips), nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (z *zone) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	if records, ok := z.srv[name]; ok && service == "" && proto == "" && z.err == nil {
		return name, records, nil
	}
	return "", nil, errors.Join(z.err, &net.DNSError{Err: "no such host", Name: name, IsNotFound: z.err == nil})
}

func TestSeedsByName(t *testing.T) {
	z := &zone{
		hosts: map[string][]string{"all": {"10.0.0.1", "fd00::2"}, "one.": {"10.0.0.9"}},
		srv:   map[string][]*net.SRV{"_gossip._tcp.x": {{Target: "one.", Port: 7000}}},
	}
	for _, c := range []struct {
		member string
		want   []string
	}{
		{"dns+all:7946", []string{"10.0.0.1:7946", "[fd00::2]:7946"}},
		{"dnssrv+_gossip._tcp.x", []string{"10.0.0.9:7000"}},
		{"dnssrv+_gossip._tcp.x:1", []string{"10.0.0.9:1"}},
		{"dnssrvnoa+_gossip._tcp.x", []string{"one:7000"}},
		{"dns+nobody:7946", nil},
		{"dnssrv+nobody", nil},
	} {
		require.Empty(t, joinProblem(c.member))
		s := &seeds{dns: z}
		require.NoError(t, s.Resolve(context.Background(), []string{c.member}))
		require.ElementsMatch(t, c.want, s.Addresses(), c.member)
	}
}

func TestSeedsOutliveTheNameServer(t *testing.T) {
	z := &zone{hosts: map[string][]string{"all": {"10.0.0.1"}}}
	s := &seeds{dns: z}
	require.NoError(t, s.Resolve(context.Background(), []string{"dns+all:1"}))
	z.err = errors.New("timeout")
	require.ErrorContains(t, s.Resolve(context.Background(), []string{"dns+all:1"}), "look up dns+all:1: timeout")
	require.Equal(t, []string{"10.0.0.1:1"}, s.Addresses())
}

func TestFewSeedsOfMany(t *testing.T) {
	z := &zone{hosts: map[string][]string{}}
	for i := range 100 {
		z.hosts["all"] = append(z.hosts["all"], fmt.Sprintf("10.0.0.%d", i))
	}
	s := &seeds{dns: z}
	require.NoError(t, s.Resolve(context.Background(), []string{"dns+all:1"}))
	require.Len(t, s.Addresses(), maxSeeds)
}
