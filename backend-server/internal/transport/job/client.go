package job

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	hearthv1 "github.com/hearth-profiles/hearth/backend-server/api/gen/hearth/v1"
	"github.com/hearth-profiles/hearth/backend-server/internal/cluster"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/question"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/asked"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/rpc"
)

// Schedulers lists the query-schedulers that take questions.
type Schedulers func() []cluster.Peer

// Client lets schedulers of other processes see to questions. It may be used by
// many goroutines.
type Client struct {
	schedulers Schedulers
	pool       *rpc.Pool
	logger     *slog.Logger
	again      prometheus.Counter

	mu struct {
		sync.Mutex
		turn  int
		shunt map[string]shunned // by address
	}
}

// shunned is a scheduler that failed: it is asked last until then.
type shunned struct {
	until time.Time
	pause time.Duration
}

// How long a scheduler is avoided after it has failed. A process that is stopped
// costs a question ten seconds, so it is longer each time.
const (
	firstPause = 5 * time.Second
	lastPause  = time.Minute
)

// NewClient returns a Client.
func NewClient(schedulers Schedulers, pool *rpc.Pool, reg prometheus.Registerer, logger *slog.Logger) *Client {
	c := &Client{schedulers: schedulers, pool: pool, logger: logger}
	c.again = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "hearth_query_frontend_resubmitted_queries_total",
		Help: "Queries that were put to another query-scheduler because one had gone or could not be reached.",
	})
	c.mu.shunt = map[string]shunned{}
	reg.MustRegister(c.again)
	return c
}

var _ question.Asker = (*Client)(nil)

// Ask puts a question to one scheduler, or, if that is gone, to the others in
// turn (J1).
func (c *Client) Ask(ctx context.Context, q *question.Question) (*question.Answer, error) {
	text, err := asked.MarshalQuestion(q)
	if err != nil {
		return nil, err
	}
	peers := c.order()
	if len(peers) == 0 {
		return nil, fault.New(fault.Unavailable, "there is no query-scheduler in the query-scheduler ring")
	}
	var last error
	for i := range peers {
		if i > 0 {
			c.again.Inc()
		}
		addr := peers[i].Addr
		answer, err := c.ask(ctx, &peers[i], &hearthv1.AskRequest{Question: text})
		if err == nil {
			c.worked(addr)
			if err := failure(answer); err != nil {
				return nil, err
			}
			return asked.UnmarshalAnswer(q, answer.GetAnswer())
		}
		if ctx.Err() != nil || !fault.Is(err, fault.Unavailable) || fault.ReasonOf(err) == question.ReasonQueriersGone {
			return nil, err
		}
		c.failed(addr)
		c.logger.Warn("query-scheduler cannot be used", "address", addr, "err", err)
		last = err
	}
	return nil, last
}

func (c *Client) ask(ctx context.Context, to *cluster.Peer, req *hearthv1.AskRequest) (*hearthv1.AskResponse, error) {
	conn, err := c.pool.Member(to.Id, to.Addr)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "query-scheduler at %s: %w", to.Addr, err)
	}
	answer, err := hearthv1.NewQueueServiceClient(conn).Ask(ctx, req)
	return answer, rpc.ToFault(err)
}

// order returns all schedulers, the one whose turn it is first,
// those that have failed lately last.
func (c *Client) order() []cluster.Peer {
	peers := c.schedulers()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.turn++
	now := time.Now()
	var good, bad []cluster.Peer
	for i := range peers {
		p := peers[(c.mu.turn+i)%len(peers)]
		if now.Before(c.mu.shunt[p.Addr].until) {
			bad = append(bad, p)
		} else {
			good = append(good, p)
		}
	}
	return append(good, bad...)
}

func (c *Client) worked(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.mu.shunt, addr)
}

func (c *Client) failed(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	old := c.mu.shunt[addr]
	if now.Before(old.until) {
		return // by one that was asked at the same time
	}
	pause := min(max(firstPause, 2*old.pause), lastPause)
	c.mu.shunt[addr] = shunned{until: now.Add(pause), pause: pause}
	for addr, s := range c.mu.shunt { // schedulers that are no more
		if now.Sub(s.until) > 10*lastPause {
			delete(c.mu.shunt, addr)
		}
	}
}
