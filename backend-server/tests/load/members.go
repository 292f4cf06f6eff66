package main

import (
	"fmt"
	"path/filepath"
)

// hearthMember is the command line of a process of a cluster of this
// repository's server.
func hearthMember(binary string, s *seat) []string {
	return []string{
		binary, "-target=" + s.target, "-instance.id=" + s.name,
		"-server.http-listen-address=" + s.addr, fmt.Sprintf("-server.http-listen-port=%d", s.http),
		"-server.grpc-listen-address=" + s.addr, fmt.Sprintf("-server.grpc-listen-port=%d", s.grpc),
		"-memberlist.bind-addr=" + s.addr, fmt.Sprintf("-memberlist.bind-port=%d", s.gossip), "-memberlist.join=" + s.seed,
		fmt.Sprintf("-ingester.ring.replication-factor=%d", s.copies),
		"-db.data-path=" + filepath.Join(s.dir, "data"), "-storage.filesystem.dir=" + s.bucket,
		"-validation.reject-older-than=0", "-self-profiling.enabled=false", "-log.level=warn",
	}
}

// pyroscopeMember is the same for the peer's first storage engine. Each of its
// rings wants the address and the name anew; ports in them are those of HTTP.
func pyroscopeMember(binary string, s *seat) []string {
	args := []string{
		"-architecture.storage=v1", "-write-path=ingester", "-target=" + s.target,
		"-server.http-listen-address=" + s.addr, "-server.grpc-listen-address=" + s.addr,
		"-memberlist.bind-addr=" + s.addr, "-memberlist.advertise-addr=" + s.addr, fmt.Sprintf("-memberlist.advertise-port=%d", s.gossip),
		"-memberlist.nodename=" + s.name, "-memberlist.join=" + s.seed,
		fmt.Sprintf("-distributor.replication-factor=%d", s.copies),
		"-ingester.lifecycler.addr=" + s.addr, "-ingester.lifecycler.ID=" + s.name,
		"-query-frontend.instance-addr=" + s.addr, "-storage.filesystem.dir=" + s.bucket,
	}
	for _, ring := range []string{"distributor.ring", "query-scheduler.ring", "store-gateway.sharding-ring", "compactor.ring", "overrides-exporter.ring"} {
		args = append(args, "-"+ring+".instance-addr="+s.addr, "-"+ring+".instance-id="+s.name)
	}
	return peerCommand(binary, s.dir, s.ports, args...)
}
