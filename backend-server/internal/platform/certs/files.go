package certs

import (
	"flag"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/config"
)

// Files names the files of a port, in PEM.
type Files struct {
	Cert, Key string
	CA        string // authorities of callers; empty: anybody may call
}

// RegisterFlags declares the flags -<prefix>-cert-path, -key-path and -ca-path
// of a port; what says what the authorities are for.
func (f *Files) RegisterFlags(fs *flag.FlagSet, prefix, port, ca string) {
	fs.StringVar(&f.Cert, prefix+"-cert-path", "", "Certificate "+port+" Read again when it changes.")
	fs.StringVar(&f.Key, prefix+"-key-path", "", "Key of the certificate. Read again when it changes.")
	fs.StringVar(&f.CA, prefix+"-ca-path", "", ca)
}

// On reports whether there is TLS.
func (f *Files) On() bool { return f.Cert != "" || f.Key != "" || f.CA != "" }

// Validate reports what is missing of the files, by flag. mutual says that
// authorities are needed.
func (f *Files) Validate(prefix string, mutual bool) []error {
	if !f.On() {
		return nil
	}
	var problems []error
	for _, need := range []struct {
		flag, file string
		needed     bool
	}{{"-cert-path", f.Cert, true}, {"-key-path", f.Key, true}, {"-ca-path", f.CA, mutual}} {
		switch {
		case need.file != "" || !need.needed:
		case mutual:
			problems = append(problems, config.Problem(prefix+need.flag, need.file, "a file: TLS needs certificate, key and authorities"))
		default:
			problems = append(problems, config.Problem(prefix+need.flag, need.file, "a file: TLS needs certificate and key"))
		}
	}
	return problems
}
