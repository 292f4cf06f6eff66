// Package cluster lets processes know each other: who is a member of which
// ring, in which state, and which members have to keep what.
//
// # Why
//
// A write must reach several ingesters and a read must know from how many it
// needs an answer, in every process and with no outside service. The members
// of a ring publish an address, a zone, 32-bit tokens, a state and a heartbeat;
// gossip (dskit's key-value store on memberlist) carries that everywhere within
// a second or so. What differs between two processes for that second must do no
// harm; see the invariants.
//
// # Layout
//
//	config.go    settings                     ring.go      a ring as others see it: Replicas, Readers
//	cluster.go   the service: gossip, rings   pick.go      which members of a walk are taken
//	store.go     key-value store, also alone  write.go     writing to a quorum
//	member.go    this process in a ring       token.go     where a series lies on a ring
//	tokens.go    the tokens file              pages.go     /ring, /<ring>/ring, /memberlist
//	forget.go    who is dead                  dns.go, tls.go  finding peers, encrypted gossip
//
// Members are dskit's BasicLifecyclers, on all rings. The older Lifecycler
// decides itself when to be ACTIVE, knows nothing of a role that has to replay
// a log before and to empty its memory after, and links the clients of etcd
// and Consul by way of its constructor.
//
// # States
//
//	PENDING    known to all; the role starts (replays its log): no traffic
//	JOINING    the role runs: written to, not read from. Mostly for a moment; a
//	           member that has lost what it had stays so for its Probation
//	ACTIVE     written to and read from
//	LEAVING    read from, no longer written to; the role empties its memory, or
//	           the process is being restarted
//	UNHEALTHY  any of these with a heartbeat that is too old: no traffic
//
// A process without -memberlist.join is alone. It runs the same code on a
// key-value store in memory, opens no port and waits for nobody.
//
// # Invariants
//
//	R1  A write is acknowledged by RF/2+1 members, in as many zones when zones
//	    count, whatever the states of the others: a member that cannot be
//	    written to is replaced by the next one on the ring.
//	R2  Readers returns enough members that, of each write acknowledged under
//	    R1, at least one that has it is among them, even if as many as the set
//	    allows give no answer. If that is not possible, it is an error.
//	R3  Where a series lies depends on tenant, series and tokens only, never on
//	    version or process: Token is part of the format of a cluster.
//	R4  A member goes off the ring only by its own will and with nothing left
//	    that only its disk has, or by being forgotten. One that stops to come
//	    back stays as LEAVING, one that fails or dies as what it was, with its
//	    tokens; while it is there and silent, R2 counts it as missing, and when
//	    it is back it has the same place.
//	R5  Who does not see most processes forgets nobody.
//	R6  Every goroutine belongs to a service that waits for it.
package cluster
