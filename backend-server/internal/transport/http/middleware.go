package http

import (
	"errors"
	nethttp "net/http"
	"runtime/debug"
	"strings"

	"connectrpc.com/connect"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/platform/tenant"
	"github.com/hearth-profiles/hearth/backend-server/internal/transport/wire"
)

// withTenant puts the request's tenant into its context, or refuses it.
func (s *Server) withTenant(next nethttp.Handler) nethttp.Handler {
	refusals := connect.NewErrorWriter()
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		id := tenant.Anonymous
		if s.cfg.Multitenancy {
			var err error
			if id, err = tenantOf(r); err != nil {
				refuse(refusals, w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r.WithContext(tenant.With(r.Context(), id)))
	})
}

func tenantOf(r *nethttp.Request) (string, error) {
	id := r.Header.Get(tenant.Header)
	if id == "" {
		return tenant.From(r.Context())
	}
	return id, tenant.Validate(id)
}

// refuse answers with err in the protocol of the request.
func refuse(refusals *connect.ErrorWriter, w nethttp.ResponseWriter, r *nethttp.Request, err error) {
	if isRPC(r) && refusals.IsSupported(r) {
		_ = refusals.Write(w, r, connect.NewError(wire.Code(err), err))
		return
	}
	nethttp.Error(w, err.Error(), wire.HTTPStatus(err))
}

// isRPC reports whether the request is for a method of a service, such as
// /push.v1.PusherService/Push. The content type does not tell: connect takes
// any application/… for its own.
func isRPC(r *nethttp.Request) bool {
	service, method, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return ok && strings.Contains(service, ".") && !strings.Contains(method, "/")
}

// withBodyLimit refuses bodies that are too large before they are read, where
// their length is announced: cut off in the middle, the RPC layer would answer
// with a code that clients take for "try again".
func (s *Server) withBodyLimit(next nethttp.Handler) nethttp.Handler {
	refusals := connect.NewErrorWriter()
	limit := int64(s.cfg.MaxBodyBytes)
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.ContentLength > limit {
			refuse(refusals, w, r, fault.Reason(fault.TooLarge, "body_size_limit_exceeded", "the body has %d bytes; limit %d (-server.max-body-size)", r.ContentLength, limit))
			return
		}
		r.Body = nethttp.MaxBytesReader(w, r.Body, limit)
		next.ServeHTTP(w, r)
	})
}

var errPanicked = errors.New("internal error: the request made the server panic; its log has the details")

// withRecovery ends a request that panics with an error, and goes on.
func (s *Server) withRecovery(next nethttp.Handler) nethttp.Handler {
	refusals := connect.NewErrorWriter()
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, nethttp.ErrAbortHandler) {
				panic(p)
			}
			s.metrics.panics.Inc()
			s.logger.Error("request panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			refuse(refusals, w, r, errPanicked)
		}()
		next.ServeHTTP(w, r)
	})
}
