// Package store lets queriers of other processes read what the ingester and the
// store-gateway of this one show: replica.Store over gRPC, both ends.
//
// A session is a stream. The snapshot that it stands for is held for as long as
// the stream lasts, so a querier that is gone lets go of it.
package store
