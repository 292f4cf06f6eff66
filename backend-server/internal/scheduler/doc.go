// Package scheduler keeps the queries of all tenants in order until a querier
// takes them.
//
// It holds no data and knows nothing of what is asked: query-frontends put
// questions in and wait, workers of queriers come and take one each. All of it
// is in memory. When a scheduler dies, frontends ask another one; questions
// change nothing, so asking twice does no harm.
//
// Invariants:
//
//	Q1  each tenant has a queue of its own, first in, first out. A free worker
//	    takes from the tenant that was served the longest ago, so what a tenant
//	    waits for does not depend on how much others have queued;
//	Q2  of the workers that a tenant may use, it never has all, if there is more
//	    than one: another tenant's query finds a worker that is free now or as
//	    soon as the shortest query of somebody else is done. If it is known that
//	    there is one tenant only, none is kept free;
//	Q3  a querier that works on the only query of a tenant is not given one of
//	    those that have several, for a tenth of a second: its workers share a few
//	    CPUs, and what is short is done soonest alone. When the query is done
//	    the others have their turn;
//	Q4  a query whose asker has gone or has no time left is not in a queue;
//	Q5  a query whose worker has gone is the next of its tenant; it is tried
//	    three times;
//	Q6  which queriers a tenant may use depends on the names of tenant and
//	    queriers alone: all schedulers choose the same, and few tenants are given
//	    others when a querier comes or goes;
//	Q7  where no querier has been connected for five seconds a query is refused,
//	    to be put to another scheduler.
package scheduler
