package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
)

// pluginLogger writes the JSON lines that Grafana reads from a plugin's stderr
// and puts into its own log.
func pluginLogger(w io.Writer) *slog.Logger {
	rename := func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return a
		}
		switch a.Key {
		case slog.TimeKey:
			return slog.String("@timestamp", a.Value.Time().Format("2006-01-02T15:04:05.000000Z07:00"))
		case slog.LevelKey:
			return slog.String("@level", strings.ToLower(a.Value.String()))
		case slog.MessageKey:
			return slog.String("@message", a.Value.String())
		}
		return a
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: rename}))
}

// settingsError is the answer to a call when an instance cannot be made.
func settingsError(err error) *backend.CallResourceResponse {
	body, _ := json.Marshal(map[string]string{"message": err.Error(), "code": "failed_precondition"}) // strings always encode
	return &backend.CallResourceResponse{
		Status:  http.StatusBadRequest,
		Headers: map[string][]string{"Content-Type": {"application/json"}},
		Body:    body,
	}
}
