package ledger

import (
	"cmp"
	"time"

	"github.com/telltale-dev/telltale/webhook/failure"
)

// Options of a Ledger. The zero value works.
type Options struct {
	// MaxKeys limits the newcomers: keys without any reported failure. There may
	// be as many others whose namespace refuses them, and as many keys besides,
	// references that were moved included; so neither invented owners nor a
	// namespace that refuses events drive out others. If a new key does not fit,
	// the least recently used key that owes nothing is forgotten. If it
	// still does not fit, its failures are folded into an entry for their
	// namespace and reason (there may be a tenth of MaxKeys more of these), or
	// else into one for the reason, on the namespace Home (one more for each
	// reason). Folding loses the owner, but never a count. Default: 10,000.
	MaxKeys int
	// First is how long the first failure of a key, or the first after a quiet
	// time, waits for more, to be written with them. Default: 500 ms.
	First time.Duration
	// Every is the least time between two writes of a key. It is up to a tenth
	// longer by chance. Default: 10 s.
	Every time.Duration
	// Follow is how long later failures under a reference are booked on the owner
	// that was found. Then the reference is looked up again: a ReplicaSet may be
	// orphaned, and adopted by another Deployment. While newcomers take all keys,
	// it is followed for longer. Default: 1 h.
	Follow time.Duration
	// Forget is how long a key that owes nothing is kept after its last use, so
	// that memory follows the owners that fail now. Its next failure costs three
	// or four calls: as for any new key, and its event may be there. Default: 5 min.
	Forget time.Duration
	// Home is the namespace to report on for failures that are folded for all
	// namespaces. Default: "telltale-system".
	Home string
	// Together is true if the sink is one place: if it refuses an entry, or does not
	// answer, all others wait, too, and not only those of the namespace.
	Together bool
	// Reasons are told apart; any other counts as failure.Error. Default: all reasons
	// of failures.
	Reasons []failure.Reason
	// Random spreads retries: a number in [0, 1). Default: always 0.
	Random func() float64
}

func (o Options) withDefaults() Options {
	o.MaxKeys = cmp.Or(max(o.MaxKeys, 0), 10_000)
	o.First = cmp.Or(max(o.First, 0), 500*time.Millisecond)
	o.Every = cmp.Or(max(o.Every, 0), 10*time.Second)
	o.Follow = cmp.Or(max(o.Follow, 0), time.Hour)
	o.Forget = cmp.Or(max(o.Forget, 0), 5*time.Minute)
	o.Home = cmp.Or(o.Home, "telltale-system")
	if len(o.Reasons) == 0 {
		o.Reasons = failure.Reasons()
	}
	if o.Random == nil {
		o.Random = func() float64 { return 0 }
	}

	return o
}

// keys is how many keys there may be when an ordinary one is opened. In this and
// the following bounds, keys that are held behind gates do not count.
func (o Options) keys() int { return 2 * o.MaxKeys }

// folding is how many keys there may be when one is opened for a namespace.
func (o Options) folding() int { return o.keys() + o.MaxKeys/10 }

// most is how many keys there may ever be.
func (o Options) most() int { return o.folding() + len(o.Reasons) }
