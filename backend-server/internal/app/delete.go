package app

import "github.com/hearth-profiles/hearth/backend-server/internal/deletion"

// deleted returns what is deleted of a tenant. Who asks looks at the bucket too,
// and learns from that if this is not known yet.
func (a *App) deleted(tenantID string) deletion.Rules {
	rules, _ := a.gateway.Deleted(tenantID)
	return rules
}
