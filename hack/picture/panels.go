package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// chosen are the titles of the panels in the picture.
var chosen = []string{
	"By reason", "By namespace", "Pending",
	"From a failure to its event, 99 %", "Never to be shown", "By outcome",
	"Time of an answer", "Pods by state", "Canary",
}

// variables are values for those of the dashboard: the namespaces and reasons that have
// failures in the story, and an interval such as Grafana takes for a scrape each 15 s.
var variables = strings.NewReplacer(
	"$cluster", ".*",
	"$namespace", "media|search|shop",
	"$reason", "InjectionConflict|InjectionMissed|InjectionUnmet|InjectionUnsafe",
	"$__rate_interval", "1m",
)

// units are Grafana's, as the UI writes them after a number.
var units = map[string]string{"reqps": "/s", "s": "s"}

// grafana is a panel in Grafana's format.
type grafana struct {
	Type               string // a row has the panels after it
	Title, Description string
	Targets            []struct{ Expr, LegendFormat string }
	FieldConfig        struct{ Defaults struct{ Unit string } }
}

// panel is a panel in the UI's format.
type panel struct {
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Unit        string   `json:"unit"`
	Width       int      `json:"width"` // 12 is the whole width
	ShowLegend  bool     `json:"showLegend"`
	Expr        []string `json:"expr"`
	Alias       []string `json:"alias"`
}

// panels prints a dashboard in the UI's format, with some panels of Grafana's file.
func panels(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var from struct {
		Title  string
		Panels []grafana
	}
	if err := json.Unmarshal(text, &from); err != nil {
		return fmt.Errorf("cannot read %s: %w", file, err)
	}
	titled, row := map[string]grafana{}, ""
	for _, p := range from.Panels {
		if p.Type == "row" {
			row = p.Title
		}
		title := p.Title
		p.Title = row + " – " + title
		titled[title] = p
	}

	var to []panel
	for _, title := range chosen {
		p, ok := titled[title]
		if !ok {
			return fmt.Errorf("%s has no panel %q", file, title)
		}
		to = append(to, p.convert())
	}

	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"title": from.Title, "rows": []any{map[string]any{"title": from.Title, "panels": to}},
	})
}

func (g grafana) convert() panel {
	p := panel{Title: g.Title, Description: g.Description, Unit: units[g.FieldConfig.Defaults.Unit], Width: 4, ShowLegend: true}
	for _, t := range g.Targets {
		p.Expr = append(p.Expr, variables.Replace(t.Expr))
		p.Alias = append(p.Alias, t.LegendFormat)
	}

	return p
}
