package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// File says where the YAML file is and how it is read.
type File struct {
	Path      string
	ExpandEnv bool
}

// RegisterFlags declares the flags of the file.
func (c *File) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.Path, "config.file", "", "YAML file with settings. It uses the names of the flags; flags win over it.")
	f.BoolVar(&c.ExpandEnv, "config.expand-env", false, "Replace ${NAME} and ${NAME:default} in the values of the file by environment variables.")
}

// Load sets the flags of fs from args and from the file that file names after
// that. It returns all problems joined, or flag.ErrHelp.
func Load(fs *flag.FlagSet, file *File, args []string) error {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	problems, err := parseArgs(fs, args)
	if err != nil {
		return err
	}
	if file.Path != "" {
		given := map[string]bool{}
		fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
		problems = append(problems, loadFile(fs, file, given)...)
	}
	return errors.Join(problems...)
}

// parseArgs parses args to the end, whatever is wrong in between.
func parseArgs(fs *flag.FlagSet, args []string) (problems []error, err error) {
	for {
		switch err := fs.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			return nil, err
		case err != nil:
			problems = append(problems, argProblem(fs, args[:len(args)-fs.NArg()], err))
			args = fs.Args()
			if strings.Contains(err.Error(), "not defined") && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
				args = args[1:] // most likely the unknown flag's value
			}
		case fs.NArg() > 0:
			problems = append(problems, fmt.Errorf("%q is not a flag; flags start with -", fs.Arg(0)))
			args = fs.Args()[1:]
		default:
			return problems, nil
		}
	}
}

// argProblem turns the flag package's error for the last of args into a Problem.
func argProblem(fs *flag.FlagSet, args []string, err error) error {
	for _, i := range []int{len(args) - 1, len(args) - 2} {
		if i < 0 || !strings.HasPrefix(args[i], "-") {
			continue
		}
		name, value, inline := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		f := fs.Lookup(name)
		if f == nil {
			return unknown(fs, name)
		}
		if !inline && i+1 < len(args) {
			value, inline = args[i+1], true
		}
		if !inline {
			return fmt.Errorf("-%s needs a value: %s", name, Want(f))
		}
		return Problem(name, value, Want(f))
	}
	return err
}

func unknown(fs *flag.FlagSet, name string) error {
	if near := nearest(fs, name); near != "" {
		return fmt.Errorf("-%s is not a known flag; did you mean -%s?", name, near)
	}
	return fmt.Errorf("-%s is not a known flag; -help lists all", name)
}

// Want says in words what values a flag takes.
func Want(f *flag.Flag) string {
	g, ok := f.Value.(flag.Getter)
	if !ok {
		return "a text"
	}
	switch g.Get().(type) {
	case bool:
		return "true or false"
	case int, int64:
		return "a whole number"
	case uint, uint64:
		return "a whole number that is not negative"
	case float64:
		return "a number"
	case time.Duration:
		return "a duration such as 30s, 5m or 1h30m"
	case Bytes:
		return "a size such as 512MiB or 2GB"
	}
	return "a text"
}

func loadFile(fs *flag.FlagSet, file *File, given map[string]bool) []error {
	b, err := os.ReadFile(file.Path)
	if err != nil {
		return []error{fmt.Errorf("-config.file: %w", err)}
	}
	var root map[string]any
	if err := yaml.Unmarshal(b, &root); err != nil {
		return []error{fmt.Errorf("-config.file %s: %w", file.Path, err)}
	}
	flat := map[string][]string{}
	problems := flatten(flat, "", root)
	for _, name := range slices.Sorted(maps.Keys(flat)) {
		problems = append(problems, setFromFile(fs, file, name, flat[name], given)...)
	}
	for i, p := range problems {
		problems[i] = fmt.Errorf("%s: %w", file.Path, p)
	}
	return problems
}

func setFromFile(fs *flag.FlagSet, file *File, name string, values []string, given map[string]bool) (problems []error) {
	f := fs.Lookup(name)
	if f == nil || strings.HasPrefix(name, "config.") {
		return []error{unknown(fs, name)}
	}
	for _, v := range values {
		if file.ExpandEnv {
			var err error
			if v, err = expand(v, os.LookupEnv); err != nil {
				problems = append(problems, fmt.Errorf("-%s: %w", name, err))
				continue
			}
		}
		if given[name] {
			continue
		}
		if err := fs.Set(name, v); err != nil {
			problems = append(problems, Problem(name, v, Want(f)))
		}
	}
	return problems
}

// flatten joins nested keys by dots. Underscores count as hyphens.
func flatten(out map[string][]string, prefix string, node map[string]any) (problems []error) {
	for _, key := range slices.Sorted(maps.Keys(node)) {
		name := prefix + strings.ReplaceAll(key, "_", "-")
		switch v := node[key].(type) {
		case map[string]any:
			problems = append(problems, flatten(out, name+".", v)...)
		case []any:
			for _, e := range v {
				out[name] = append(out[name], fmt.Sprint(e))
			}
		case nil:
			problems = append(problems, fmt.Errorf("-%s has no value", name))
		default:
			out[name] = append(out[name], fmt.Sprint(v))
		}
	}
	return problems
}

// expand replaces ${NAME} and ${NAME:default} in s.
func expand(s string, lookup func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "${")
		out.WriteString(before)
		if !ok {
			return out.String(), nil
		}
		inner, after, ok := strings.Cut(rest, "}")
		if !ok {
			return "", fmt.Errorf("${%s has no closing brace", rest)
		}
		name, fallback, has := strings.Cut(inner, ":")
		value, set := lookup(name)
		switch {
		case set && value != "":
			out.WriteString(value)
		case has:
			out.WriteString(fallback)
		case !set:
			return "", fmt.Errorf("the environment variable %s is not set; write ${%s:} to allow that", name, name)
		}
		s = after
	}
}
