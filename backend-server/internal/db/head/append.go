package head

import (
	"context"
	"math/bits"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hearth-profiles/hearth/backend-server/internal/db/wal"
	"github.com/hearth-profiles/hearth/backend-server/internal/profile"
)

// Key identifies a record within a tenant: the profile's ID and its series.
// Two records with one key are the same profile sent twice. The key is stable
// over restarts and is what is stored as a row's ID.
func Key(rec *profile.Record) uint64 {
	hi, lo := bits.Mul64(rec.ID^0x9e3779b97f4a7c15, labels.StableHash(rec.Labels)|1)
	return hi ^ lo
}

// Append adds records. It returns when those added are in the log for good,
// with an error for each record that is not, or nil. A record that the head
// holds already is not added again; that is success, once the log has it.
func (h *Head) Append(ctx context.Context, recs []*profile.Record) []error {
	a := h.appenders.Get().(*appender)
	defer func() {
		a.forget()
		h.appenders.Put(a)
	}()
	errs := make([]error, len(recs))
	tickets := make([]wal.Ticket, len(recs))
	for i, rec := range recs {
		tickets[i], errs[i] = h.enqueue(a, rec)
	}
	failed := false
	for i := range recs {
		if errs[i] == nil {
			errs[i] = h.log.Wait(ctx, tickets[i])
		}
		failed = failed || errs[i] != nil
	}
	if !failed {
		return nil
	}
	return errs
}

func (h *Head) enqueue(a *appender, rec *profile.Record) (wal.Ticket, error) {
	p := h.partition(rec.Labels.Get(profile.LabelServiceName))
	key := Key(rec)
	if p.has(key) {
		// The first copy may still be on its way to the disk.
		return h.log.Last(), nil
	}
	a.digest(p, rec)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ids.has(key) {
		return h.log.Last(), nil
	}
	a.collect(rec)
	rows, added := a.rows(p, rec, key)
	if len(rows) == 0 { // there is nothing to keep
		p.in.Rollback(p.logged)
		a.forget()
		return 0, nil
	}
	a.payload = p.appendRecord(a.payload[:0], profileRecord, key, rec.Time, rows)
	ticket, err := h.log.Enqueue(a.payload)
	if err != nil {
		// What the log refuses must not burden the next record.
		p.in.Rollback(p.logged)
		a.forget()
		return ticket, err
	}
	p.logged = p.in.Mark()
	for _, s := range added {
		s.logged = true
	}
	h.publish(p, key, rec.Time, rows)
	h.saturated.Add(int64(a.saturated))
	return ticket, nil
}

// publish makes the rows of one record visible; of counters, what they grew by.
// The caller holds p.mu.
func (h *Head) publish(p *partition, key uint64, t profile.UnixMilli, rows []newRow) {
	p.ids.add(key)
	kept := int64(0)
	for i := range rows {
		s, r := rows[i].series, &rows[i].row
		if s.counter && !p.count(s, r, 0) {
			continue
		}
		if len(s.rows) == 0 {
			h.addSeries(p, s)
		}
		p.add(s, r)
		kept++
	}
	if kept > 0 {
		h.rows.Add(kept)
		h.profiles.Add(1)
		h.widen(t)
	}
	h.account(p)
}
