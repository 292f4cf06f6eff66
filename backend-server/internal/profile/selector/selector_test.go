package selector

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hearth-profiles/hearth/backend-server/internal/platform/fault"
)

func TestParse(t *testing.T) {
	for in, want := range map[string][]string{
		``:                                     nil,
		`  `:                                   nil,
		`{}`:                                   nil,
		` { } `:                                nil,
		`{service_name="a"}`:                   {`service_name="a"`},
		`{a="1", b!="2",c=~"3.*" , d!~"4|5",}`: {`a="1"`, `b!="2"`, `c=~"3.*"`, `d!~"4|5"`},
		`{a=""}`:                               {`a=""`},
		`{a=~".*"}`:                            {`a=~".*"`},
		`{a="ü{}\"\\"}`:                        {`a="ü{}\"\\"`},
		`{"service.version"="1.2"}`:            {`"service.version"="1.2"`},
		`{service.version="1.2"}`:              {`"service.version"="1.2"`},
		`process_cpu{a="1"}`:                   {`a="1"`, `__name__="process_cpu"`},
		`{__profile_type__="process_cpu:cpu:nanoseconds:cpu:nanoseconds", a="1"}`: {
			`__profile_type__="process_cpu:cpu:nanoseconds:cpu:nanoseconds"`, `a="1"`,
		},
		`process_cpu:cpu:nanoseconds:cpu:nanoseconds{a="1"}`: {
			`a="1"`, `__name__="process_cpu:cpu:nanoseconds:cpu:nanoseconds"`,
		},
	} {
		t.Run(in, func(t *testing.T) {
			matchers, err := Parse(in)
			require.NoError(t, err)
			var got []string
			for _, m := range matchers {
				got = append(got, m.String())
			}
			require.Equal(t, want, got)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{`{a=`, `{`, `}`, `{a="1"`, `a="1"`, `{a=~"("}`, `{a}`, `{a="1"} + 1`, `{a="1"}[5m]`, `{a>"1"}`, `{}{}`, "{a=\"\xff\"}", `{{}}`} {
		t.Run(in, func(t *testing.T) {
			_, err := Parse(in)
			require.True(t, fault.Is(err, fault.Invalid), "%v", err)
			require.ErrorContains(t, err, "label selector")
		})
	}
	_, err := Parse("{a=\"" + strings.Repeat("x", MaxLength) + "\"}")
	require.ErrorContains(t, err, "limit 65536")
	_, err = ParseAll([]string{"{}", "{a="})
	require.True(t, fault.Is(err, fault.Invalid))
}

func FuzzParse(f *testing.F) {
	f.Add(`{a="1",b!~"x.*"}`)
	f.Fuzz(func(t *testing.T, in string) {
		if _, err := Parse(in); err != nil {
			require.True(t, fault.Is(err, fault.Invalid))
		}
	})
}
