package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// namespaces is a network in which every member has a network namespace with
// one address, on a bridge that the test is on, too. Members are cut off from
// each other, but not from the test: clients reach both sides of a partition.
type namespaces struct {
	t      *testing.T
	id     int
	prefix string
	made   int
}

// newNamespaces makes the bridge. Where that is not permitted, the test is
// skipped, loudly.
func newNamespaces(t *testing.T) *namespaces {
	t.Helper()
	why := ""
	if os.Getuid() != 0 {
		why = "not root"
	} else if _, err := exec.LookPath("ip"); err != nil {
		why = err.Error()
	}
	n := &namespaces{t: t, id: rand.IntN(1 << 16), prefix: fmt.Sprintf("10.%d.%d.", 200+rand.IntN(50), rand.IntN(256))}
	t.Cleanup(n.close)
	if why == "" {
		for _, args := range []string{
			"link add " + n.bridge() + " type bridge",
			"addr add " + n.prefix + "254/24 dev " + n.bridge(),
			"link set " + n.bridge() + " up",
			"netns add " + n.space(0), // may namespaces be made?
		} {
			if err := ip(args); err != nil {
				why = err.Error()
				break
			}
		}
	}
	if why != "" {
		t.Logf("!! THE PARTITION OF A NETWORK IS NOT TESTED, network namespaces are not permitted here: %s", why)
		t.Skip(why)
	}
	return n
}

// ip runs the command that changes interfaces, routes and namespaces.
func ip(args string) error {
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (n *namespaces) bridge() string     { return fmt.Sprintf("hb%d", n.id) }
func (n *namespaces) space(m int) string { return fmt.Sprintf("hearth-%d-%d", n.id, m) }
func (n *namespaces) addr(m int) string  { return n.prefix + fmt.Sprint(m) }

// command implements network. The first command of a member makes its
// namespace; a member that is started again finds it as it was.
func (n *namespaces) command(m int, argv []string) []string {
	n.t.Helper()
	for ; n.made < m; n.made++ {
		n.join(n.made + 1)
	}
	return append([]string{"ip", "netns", "exec", n.space(m)}, argv...)
}

// join makes the namespace of a member.
func (n *namespaces) join(m int) {
	n.t.Helper()
	outside := fmt.Sprintf("hv%d-%d", n.id, m)
	for _, args := range []string{
		"netns add " + n.space(m),
		"link add " + outside + " type veth peer name eth0 netns " + n.space(m),
		"link set " + outside + " master " + n.bridge(),
		"link set " + outside + " up",
		"-n " + n.space(m) + " addr add " + n.addr(m) + "/24 dev eth0",
		"-n " + n.space(m) + " link set lo up",
		"-n " + n.space(m) + " link set eth0 up",
	} {
		require.NoError(n.t, ip(args))
	}
}

// nowhere is a hardware address that no interface has: what is sent to it is
// lost without a word, as behind a cut cable.
const nowhere = "02:00:00:00:00:fe"

// cut takes two groups of members apart.
func (n *namespaces) cut(one, other []*member) {
	n.t.Helper()
	n.between(one, other, func(from, to *member) error {
		return ip(fmt.Sprintf("-n %s neigh replace %s lladdr %s dev eth0 nud permanent", n.space(from.number), n.addr(to.number), nowhere))
	})
}

// heal undoes cut.
func (n *namespaces) heal(one, other []*member) {
	n.t.Helper()
	n.between(one, other, func(from, to *member) error {
		return ip(fmt.Sprintf("-n %s neigh del %s dev eth0", n.space(from.number), n.addr(to.number)))
	})
}

func (n *namespaces) between(one, other []*member, fn func(from, to *member) error) {
	n.t.Helper()
	for _, a := range one {
		for _, b := range other {
			require.NoError(n.t, fn(a, b))
			require.NoError(n.t, fn(b, a))
		}
	}
}

// close removes everything that was made.
func (n *namespaces) close() {
	for m := range n.made + 1 {
		_ = ip("netns del " + n.space(m)) // its interface goes with it
	}
	_ = ip("link del " + n.bridge())
}
