package symbols

// Weaken makes all strings have one digest, until in chooses other digests.
func Weaken(in *Interner) {
	h := newHasher()
	h.mask = 0
	in.hash, in.found = h, nil
}

// Weak reports whether in has not chosen other digests since Weaken.
func Weak(in *Interner) bool { return in.hash.mask == 0 }
