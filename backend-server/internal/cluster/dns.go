package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
)

// What may stand before the + of a member to join.
const (
	lookupA      = "dns"       // all addresses of host:port
	lookupSRV    = "dnssrv"    // all addresses of the hosts of an SRV record
	lookupSRVNoA = "dnssrvnoa" // the hosts of an SRV record
)

// maxSeeds bounds how many members are contacted to find the cluster. Each
// contact exchanges the whole state; any one leads to all others.
const maxSeeds = 6

// resolver is the part of net.Resolver that seeds needs.
type resolver interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// seeds finds members to join by DNS. It implements memberlist.DNSProvider.
type seeds struct {
	dns resolver

	mu    sync.Mutex
	known map[string][]string // by what was asked for
}

// Resolve looks up all names and keeps the answers. Where a name cannot be
// looked up, the last answer stays. A name that does not exist is no error:
// the first process of a cluster comes before its name.
func (s *seeds) Resolve(ctx context.Context, names []string) error {
	known := map[string][]string{}
	var errs []error
	for _, name := range names {
		found, err := s.lookup(ctx, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("look up %s: %w", name, err))
			s.mu.Lock()
			found = s.known[name]
			s.mu.Unlock()
		}
		known[name] = found
	}
	s.mu.Lock()
	s.known = known
	s.mu.Unlock()
	return errors.Join(errs...)
}

// Addresses returns some of the addresses found, at random.
func (s *seeds) Addresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, found := range s.known {
		all = append(all, found...)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(len(all), maxSeeds)]
}

func (s *seeds) lookup(ctx context.Context, member string) ([]string, error) {
	kind, name, _ := strings.Cut(member, "+")
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		host, port = name, ""
	}
	if kind == lookupA {
		return s.hosts(ctx, host, port)
	}
	_, records, err := s.dns.LookupSRV(ctx, "", "", host)
	if err != nil {
		return nil, unlessMissing(err)
	}
	var out []string
	for _, r := range records {
		at := port // one that is given wins
		if at == "" {
			at = strconv.Itoa(int(r.Port))
		}
		if kind == lookupSRVNoA {
			out = append(out, net.JoinHostPort(strings.TrimSuffix(r.Target, "."), at))
			continue
		}
		found, err := s.hosts(ctx, r.Target, at)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func (s *seeds) hosts(ctx context.Context, host, port string) ([]string, error) {
	ips, err := s.dns.LookupHost(ctx, host)
	if err != nil {
		return nil, unlessMissing(err)
	}
	for i := range ips {
		ips[i] = net.JoinHostPort(ips[i], port)
	}
	return ips, nil
}

func unlessMissing(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return nil
	}
	return err
}
