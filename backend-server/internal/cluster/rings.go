package cluster

import "time"

// Name is the name of a ring, and of the role whose processes are on it.
type Name string

// The rings.
const (
	Ingester       Name = "ingester"        // keeps series; replicated
	Distributor    Name = "distributor"     // counted, for limits that they share
	QueryScheduler Name = "query-scheduler" // found, by those who queue and those who work
	StoreGateway   Name = "store-gateway"   // answers for blocks; replicated
	Compactor      Name = "compactor"       // owns tenants
)

// Names lists the rings.
func Names() []Name { return []Name{Ingester, Distributor, QueryScheduler, StoreGateway, Compactor} }

// trait is what distinguishes a ring from the others.
type trait struct {
	tokens      int  // of a member
	keepsTokens bool // in a file: what a member owns is worth coming back to
	replicated  bool
	quorum      bool // most replicas must answer; else one is enough
	forget      time.Duration
	shardFlag   string
	help        replicaHelp
}

// replicaHelp says what the flags of a replicated ring are for.
type replicaHelp struct{ replicas, zones, shard string }

// tokensPerMember: with 128 random tokens and three replicas the load of
// members differs by 5 % (one standard deviation). With 512 it would be 3 %,
// for four times the gossip; see docs/operations.md.
const tokensPerMember = 128

// heartbeat is how often members say that they live. The timeout allows for
// three that are lost.
const (
	heartbeat        = 15 * time.Second
	heartbeatTimeout = time.Minute
)

// traits of the rings. Ingesters are forgotten late: what only they have would
// no longer be missed by readers (R4).
var traits = map[Name]trait{
	Ingester: {
		tokens: tokensPerMember, keepsTokens: true, replicated: true, quorum: true,
		forget: time.Hour, shardFlag: "distributor.ingestion-tenant-shard-size",
		help: replicaHelp{
			replicas: "Ingesters that keep a copy of each profile.",
			zones:    "Put copies into different zones.",
			shard:    "Ingesters that a tenant is given; distributors and queriers need the same number.",
		},
	},
	StoreGateway: {
		tokens: tokensPerMember, keepsTokens: true, replicated: true,
		forget: 10 * time.Minute, shardFlag: "store-gateway.tenant-shard-size",
		help: replicaHelp{
			replicas: "Store-gateways that a block lies on: they are asked for it before others are. All of them know all blocks.",
			zones:    "Choose those in different zones.",
			shard:    "Store-gateways among which those of a tenant are chosen.",
		},
	},
	Compactor:      {tokens: tokensPerMember, keepsTokens: true, forget: 10 * time.Minute},
	Distributor:    {tokens: 1, forget: 10 * time.Minute},
	QueryScheduler: {tokens: 1, forget: 10 * time.Minute},
}
