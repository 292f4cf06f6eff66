package replica

// DigestOf is what a store says of rows.
func DigestOf(rows []Row) (d Digest) {
	for _, r := range rows {
		d.add(r.ID, r.Total)
	}
	return d
}
