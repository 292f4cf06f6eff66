// Package config fills the settings of the process from the command line and a
// YAML file.
//
// A setting exists once: as a flag, declared by the package that uses it. The
// YAML file uses the same names, written flat or nested at the dots:
//
//	server.http-listen-port: 4040
//	db:
//	  data-path: /var/lib/hearth
//	  max-block-duration: 1h
//
// Invariants:
//
//	C1  the command line wins over the file, the file over the default;
//	C2  every problem is reported, not only the first one, each with the name
//	    of the setting, its value and what is allowed;
//	C3  what Dump writes, Load reads, except secrets, which are not shown and
//	    whose place Load refuses.
package config
