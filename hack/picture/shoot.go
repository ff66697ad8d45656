package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/chromedp/chromedp"
)

// width and height are the window's, in pixels. On a phone, a graph has half of the height.
const (
	width, height = 1320, 540

	phone = "Android"
)

// short leaves out the query above each legend, and empty space.
const short = `document.head.appendChild(document.createElement("style")).textContent =
	".vm-legend-group-header {display: none} .vm-legend-item-container {display: flex; flex-wrap: wrap} .vm-predefined-panel-body {min-height: 0 !important}"`

// drawn brings a panel into the window, since one that is not there loads nothing. It is
// true once the panel has its graph and its legend.
const drawn = `(panel => {
	panel?.scrollIntoView()
	return panel?.querySelector("canvas") && panel.querySelector(".vm-legend-item") && !document.querySelector(".vm-spinner")
})(document.querySelectorAll(".vm-predefined-panel")[%d])`

// wrong is the text of the errors and warnings on the page.
const wrong = `[...document.querySelectorAll(".vm-alert")].map(a => a.innerText).join("\n")`

// shoot writes a picture of the UI's page.
func shoot(ctx context.Context, url, file string) error {
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	ctx, stop = chromedp.NewContext(ctx, chromedp.WithAllocatorOptions(options()...))
	defer stop()

	steps := []chromedp.Action[chromedp.Void]{
		chromedp.EmulateViewport(width, height),
		chromedp.Navigate(url),
		chromedp.Evaluate[chromedp.Void](short),
	}
	for i := range chosen {
		steps = append(steps, chromedp.Poll[chromedp.Void](fmt.Sprintf(drawn, i), chromedp.WithPollingTimeout(time.Minute)))
	}
	if err := chromedp.Do(ctx, append(steps, chromedp.Evaluate[chromedp.Void](`scrollTo(0, 0)`))...); err != nil {
		return fmt.Errorf("cannot show %s: %w", url, err)
	}
	problems, err := chromedp.Run(ctx, chromedp.Evaluate[string](wrong))
	if err == nil && problems != "" {
		err = errors.New(problems)
	}
	if err != nil {
		return fmt.Errorf("the page at %s has a problem: %w", url, err)
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return fmt.Errorf("cannot take a picture: %w", err)
	}

	return os.WriteFile(file, png, 0o644)
}

// options are those for Chromium, which has no sandbox for root.
func options() []chromedp.ExecAllocatorOption {
	all := []chromedp.ExecAllocatorOption{chromedp.UserAgent(phone)}
	if os.Geteuid() == 0 {
		all = append(all, chromedp.NoSandbox)
	}

	return all
}
