package wire

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"connectrpc.com/connect"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile/upload"
)

// statusClientGone is what servers write down for a client that went away
// before it was answered.
const statusClientGone = 499

type outcome struct {
	code   connect.Code
	status int
}

// outcomes is the one table from kinds of errors to what clients see. TooLarge
// is no resource_exhausted, for clients would send the same again.
var outcomes = map[fault.Kind]outcome{
	fault.Unknown:         {connect.CodeInternal, http.StatusInternalServerError},
	fault.Invalid:         {connect.CodeInvalidArgument, http.StatusBadRequest},
	fault.TooLarge:        {connect.CodeInvalidArgument, http.StatusRequestEntityTooLarge},
	fault.NotFound:        {connect.CodeNotFound, http.StatusNotFound},
	fault.Unauthenticated: {connect.CodeUnauthenticated, http.StatusUnauthorized},
	fault.Exhausted:       {connect.CodeResourceExhausted, http.StatusTooManyRequests},
	fault.Unavailable:     {connect.CodeUnavailable, http.StatusServiceUnavailable},
	fault.Unimplemented:   {connect.CodeUnimplemented, http.StatusNotImplemented},
	fault.Corrupt:         {connect.CodeDataLoss, http.StatusInternalServerError},
}

func outcomeOf(err error) outcome {
	kind := fault.KindOf(err)
	if kind == fault.Unknown {
		switch {
		case errors.Is(err, context.Canceled):
			return outcome{connect.CodeCanceled, statusClientGone}
		case errors.Is(err, context.DeadlineExceeded):
			return outcome{connect.CodeDeadlineExceeded, http.StatusGatewayTimeout}
		}
	}
	if o, ok := outcomes[kind]; ok {
		return o
	}
	return outcomes[fault.Unknown]
}

// Code returns the RPC code for err, which must not be nil.
func Code(err error) connect.Code {
	var rpc *connect.Error
	if errors.As(err, &rpc) {
		return rpc.Code()
	}
	return outcomeOf(err).code
}

// HTTPStatus returns the HTTP status for err in an answer that is not an RPC.
func HTTPStatus(err error) int { return outcomeOf(err).status }

// retryHeader tells a client when to try again.
const retryHeader = "Retry-After"

// RetryAfter returns the value of the header Retry-After for err, in whole
// seconds, or "" if it has no hint when to try again.
func RetryAfter(err error) string {
	var hint *upload.RetryError
	if !errors.As(err, &hint) {
		return ""
	}
	return strconv.Itoa(max(1, int(math.Ceil(hint.After.Seconds()))))
}

// Error returns err as an RPC error, which tells when to try again if that is
// known. A nil err stays nil, an RPC error what it is.
func Error(err error) error {
	if err == nil {
		return nil
	}
	var rpc *connect.Error
	if errors.As(err, &rpc) {
		return err
	}
	rpc = connect.NewError(outcomeOf(err).code, err)
	if seconds := RetryAfter(err); seconds != "" {
		rpc.Meta().Set(retryHeader, seconds)
	}
	return rpc
}

// WriteError answers a request that is not an RPC with err, in the form that
// unary RPC errors have: {"code":…,"message":…}.
func WriteError(w http.ResponseWriter, err error) {
	body := struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{Code(err).String(), err.Error()}
	if seconds := RetryAfter(err); seconds != "" {
		w.Header().Set(retryHeader, seconds)
	}
	WriteJSON(w, HTTPStatus(err), body)
}

// WriteJSON answers a request with a value as JSON.
func WriteJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A failed write means that the client has gone; nobody is left to tell.
	_, _ = w.Write(append(body, '\n'))
}
