package connection

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-plugin-sdk-go/backend"

	"github.com/hearth-profiles/hearth/pkg/upstream"
)

// Health checks that the server is ready and answers a query, the way Grafana
// wants to hear it. The details carry the Status.
func Health(ctx context.Context, c *Connection) *backend.CheckHealthResult {
	result := &backend.CheckHealthResult{Status: backend.HealthStatusError}
	client, err := c.Client(ctx)
	if err != nil {
		result.Message = err.Error()
		return result
	}
	s := c.Status(ctx)
	if details, err := json.Marshal(s); err == nil {
		result.JSONDetails = details
	}
	if !s.Ready {
		result.Message = s.Message
		return result
	}
	if _, err := client.ProfileTypes(ctx, upstream.Range{From: 1000, Until: 4000}); err != nil {
		result.Message = fmt.Sprintf("the server is ready but a query failed: %s", err)
		return result
	}
	result.Status, result.Message = backend.HealthStatusOk, "Connected to "+s.URL
	return result
}
