package main

import (
	"context"
	"fmt"
)

// afterStart adds the row of a Telltale that has started: what it has once
// there is nothing left to do, and had at most.
func (b *bench) afterStart(c *cluster, what string, most int64) error {
	if err := c.telltale.quiet(); err != nil {
		return err
	}
	now, peak, err := resident(c.telltale.pid())
	if err != nil {
		return err
	}
	b.add(row{
		what: what, must: fmt.Sprintf("≤ %d MiB", most),
		figure: fmt.Sprintf("%s, at most %s", mib(now), mib(peak)), held: now <= most<<20,
	})

	return nil
}

func (b *bench) memory(ctx context.Context) error { return nil }
