package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"connectrpc.com/connect"
)

// StatusClientClosed is the HTTP status of a request that its caller gave up.
const StatusClientClosed = 499

// Error is a failed call, ready to be shown: Code is the API's word for it,
// Status the HTTP status that goes with it, Message a sentence.
type Error struct {
	Code    string
	Status  int
	Message string
	err     error
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the error that the call failed with.
func (e *Error) Unwrap() error { return e.err }

// Downstream reports whether the server, the network or the request is to
// blame, rather than the plugin.
func (e *Error) Downstream() bool { return e.Code != codeBroken }

// Invalid returns an error for a request that is refused before it is sent.
func Invalid(format string, args ...any) *Error {
	return &Error{
		Code:    connect.CodeInvalidArgument.String(),
		Status:  http.StatusBadRequest,
		Message: fmt.Sprintf(format, args...),
	}
}

// Unavailable returns an error for a server that cannot be asked now.
func Unavailable(format string, args ...any) *Error {
	return &Error{
		Code:    connect.CodeUnavailable.String(),
		Status:  http.StatusServiceUnavailable,
		Message: fmt.Sprintf(format, args...),
	}
}

// Malformed returns an error for an answer that breaks the API's rules.
func Malformed(format string, args ...any) *Error {
	return &Error{
		Code:    connect.CodeDataLoss.String(),
		Status:  http.StatusBadGateway,
		Message: fmt.Sprintf(format, args...),
	}
}

const codeBroken = "internal_plugin"

// AsError returns err as an *Error; what is not one is the plugin's own fault.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.Canceled) {
		return &Error{Code: connect.CodeCanceled.String(), Status: StatusClientClosed, Message: "the request was cancelled", err: err}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Code: connect.CodeDeadlineExceeded.String(), Status: http.StatusGatewayTimeout, Message: "the request took too long", err: err}
	}
	return &Error{Code: codeBroken, Status: http.StatusInternalServerError, Message: err.Error(), err: err}
}

// statusOf is the API's table of codes and HTTP statuses.
func statusOf(code connect.Code) int {
	switch code {
	case connect.CodeInvalidArgument, connect.CodeFailedPrecondition, connect.CodeOutOfRange:
		return http.StatusBadRequest
	case connect.CodeUnauthenticated:
		return http.StatusUnauthorized
	case connect.CodePermissionDenied:
		return http.StatusForbidden
	case connect.CodeNotFound:
		return http.StatusNotFound
	case connect.CodeAborted, connect.CodeAlreadyExists:
		return http.StatusConflict
	case connect.CodeResourceExhausted:
		return http.StatusTooManyRequests
	case connect.CodeCanceled:
		return StatusClientClosed
	case connect.CodeUnimplemented:
		return http.StatusNotImplemented
	case connect.CodeUnavailable:
		return http.StatusServiceUnavailable
	case connect.CodeDeadlineExceeded:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}

// wireError translates what a connect client returned. The server's own words
// are passed on; a failure on the way names the server's address.
func (c *Client) wireError(err error) error {
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return AsError(err)
	}
	e := &Error{Code: ce.Code().String(), Status: statusOf(ce.Code()), Message: ce.Message(), err: err}
	if connect.IsWireError(err) {
		return e
	}
	switch ce.Code() {
	case connect.CodeCanceled:
		e.Message = "the request was cancelled"
	case connect.CodeDeadlineExceeded:
		e.Message = fmt.Sprintf("the server at %s did not answer in time", c.url)
	case connect.CodeUnavailable:
		e.Status = http.StatusBadGateway
		e.Message = fmt.Sprintf("the server at %s cannot be reached: %s", c.url, ce.Message())
	case connect.CodeUnauthenticated, connect.CodePermissionDenied:
		e.Message = fmt.Sprintf("the server at %s refused the credentials: %s", c.url, ce.Message())
	case connect.CodeUnimplemented:
		e.Status = http.StatusBadGateway
		e.Message = fmt.Sprintf("%s does not speak the profiling API (%s): check the server URL", c.url, ce.Message())
	default:
		e.Message = fmt.Sprintf("asking the server at %s: %s", c.url, ce.Message())
	}
	return e
}
