// Package job brings questions from query-frontends to queriers, by way of
// query-schedulers in other processes.
//
//	Client    in a query-frontend: asks one of the schedulers
//	Server    in a query-scheduler: a question.Queue for both sides
//	Workers   in a querier: take questions from all schedulers
//
// Queriers connect to schedulers and not the other way round, so a querier is
// given a question only when it has nothing else to do, and nobody has to know
// where queriers are.
//
// Invariants:
//
//	J1  a question that a scheduler has taken is answered, or fails with an
//	    error, or is asked again of another scheduler if the first goes away.
//	    Questions change nothing, so one may be answered twice; one answer
//	    counts;
//	J2  deadline, tenant and trace of a question go with it to the querier. When
//	    the asker goes away the querier stops working on it;
//	J3  each scheduler has workers of each querier, so every question finds one,
//	    whichever scheduler it is put to; and at least two, if the querier has
//	    as many, so that one can be kept free. A scheduler that leaves keeps its
//	    workers until it lets them go: it may have questions left;
//	J4  a querier that stops finishes what its workers have begun.
package job
