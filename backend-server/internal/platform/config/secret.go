package config

import "errors"

// hidden is what is shown of a secret.
const hidden = "<secret>"

// Secret is a password or a key. It is shown nowhere: what prints it or dumps
// the settings writes <secret>, which cannot be read back.
type Secret string

// Set implements flag.Value. What Dump wrote in place of the secret is refused,
// since it would be taken for the secret itself.
func (s *Secret) Set(text string) error {
	if text == hidden {
		return errors.New("not the secret, but what is shown of it")
	}
	*s = Secret(text)
	return nil
}

// String implements flag.Value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }
