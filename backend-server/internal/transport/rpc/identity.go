package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

// identity is who a process is.
type identity struct{ cluster, instance string }

// Headers that say who is called. A cluster's label may be any text.
const (
	clusterKey  = "hearth-cluster-bin"
	instanceKey = "hearth-instance"
)

// toCluster says in which cluster the process is that a call is for.
func (i *identity) toCluster(ctx context.Context) context.Context {
	if i == nil {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, clusterKey, i.cluster)
}

// check returns an error if a call was meant for somebody else (P5). Older
// versions do not say whom they mean.
func (i *identity) check(ctx context.Context) error {
	if i == nil {
		return nil
	}
	if to := metadata.ValueFromIncomingContext(ctx, clusterKey); len(to) > 0 && to[0] != i.cluster {
		return fault.New(fault.Unavailable, "a process of the cluster %q was called, and this one is of %q (-memberlist.cluster-label)", to[0], i.cluster)
	}
	if to := metadata.ValueFromIncomingContext(ctx, instanceKey); len(to) > 0 && to[0] != i.instance {
		return fault.New(fault.Unavailable, "%s was called, and this is %s (-instance.id)", to[0], i.instance)
	}
	return nil
}

// Member returns the connection to a member of a ring. Calls on it fail if there
// is another process at the address by now (P5). For the rest see Conn.
func (p *Pool) Member(id, addr string) (grpc.ClientConnInterface, error) {
	conn, err := p.Conn(addr)
	if err != nil {
		return nil, err
	}
	return &member{conn, id}, nil
}

// member implements grpc.ClientConnInterface.
type member struct {
	conn *grpc.ClientConn
	id   string
}

func (m *member) named(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, instanceKey, m.id)
}

// Invoke implements grpc.ClientConnInterface.
func (m *member) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return m.conn.Invoke(m.named(ctx), method, args, reply, opts...)
}

// NewStream implements grpc.ClientConnInterface.
func (m *member) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return m.conn.NewStream(m.named(ctx), desc, method, opts...)
}
