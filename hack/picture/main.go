// Command picture shows the panels of config/grafana in VictoriaMetrics' UI, and takes a
// picture of them with Chromium, for the README. The script take runs it.
//
//	picture panels FILE        prints some panels of Grafana's FILE as the UI wants them
//	picture shoot URL FILE     writes a PNG of the UI's page of dashboards
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "panels":
		return panels(args[1])
	case len(args) == 3 && args[0] == "shoot":
		return shoot(ctx, args[1], args[2])
	default:
		return errors.New("usage: picture panels FILE | picture shoot URL FILE")
	}
}
