// Command dashboard writes the Grafana dashboard to a file. `make generate` runs it for
// config/grafana. The panels are in rows.go.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/logs"
	"github.com/grafana/grafana-foundation-sdk/go/loki"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// all is the value of a variable that selects everything, series without the label
// included.
const all = ".*"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: dashboard FILE")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(file string) error {
	board, err := build().Build()
	if err != nil {
		return fmt.Errorf("cannot build the dashboard: %w", err)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(board); err != nil {
		return fmt.Errorf("cannot encode the dashboard: %w", err)
	}

	return os.WriteFile(file, out.Bytes(), 0o644)
}

func build() *dashboard.DashboardBuilder {
	board := dashboard.NewDashboardBuilder("Telltale").
		Uid("telltale").
		Description("Injections that failed, and how Telltale is. Alerts: docs/operate.md.").
		Tags([]string{"telltale"}).
		Time("now-6h", "now").
		Refresh("1m").
		WithVariable(datasource("datasource", "Prometheus", "prometheus")).
		WithVariable(datasource("loki", "Loki", "loki")).
		WithVariable(datasource("victorialogs", "VictoriaLogs", "victoriametrics-logs-datasource")).
		WithVariable(label("cluster", "telltale_leader")).
		WithVariable(label("namespace", `telltale_injection_failures_total{cluster=~"$cluster"}`)).
		WithVariable(label("reason", "telltale_injection_failures_total"))

	id := uint32(0)
	for _, r := range rows() {
		board.WithRow(dashboard.NewRowBuilder(r.title))
		for _, p := range r.panels {
			id++
			board.WithPanel(graph(p).Id(id))
		}
	}

	board.WithRow(dashboard.NewRowBuilder("Log records"))
	for _, l := range logPanels() {
		id++
		board.WithPanel(logs.NewPanelBuilder().
			Id(id).Title(l.title).Datasource(ref(l.kind, l.variable)).Height(8).Span(12).
			WithTarget(loki.NewDataqueryBuilder().Datasource(ref(l.kind, l.variable)).Expr(l.expr).RefId("A")))
	}

	return board
}

func ref(kind, variable string) common.DataSourceRef {
	return common.DataSourceRef{Type: &kind, Uid: &variable}
}

func datasource(name, title, kind string) *dashboard.DatasourceVariableBuilder {
	return dashboard.NewDatasourceVariableBuilder(name).Label(title).Type(kind)
}

// label is a variable with the values of a metric's label, all of them at first.
func label(name, metric string) *dashboard.QueryVariableBuilder {
	query, every := fmt.Sprintf("label_values(%s, %s)", metric, name), all

	return dashboard.NewQueryVariableBuilder(name).
		Datasource(ref("prometheus", "${datasource}")).
		Query(dashboard.StringOrMap{String: &query}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Multi(true).IncludeAll(true).AllValue(every).
		Current(dashboard.VariableOption{
			Text: dashboard.StringOrArrayOfString{String: new("All")}, Value: dashboard.StringOrArrayOfString{String: new("$__all")},
		})
}

// graph is a panel of a third of the width.
func graph(p panel) *timeseries.PanelBuilder {
	g := timeseries.NewPanelBuilder().Title(p.title).Description(p.about).Unit(p.unit).
		Datasource(ref("prometheus", "${datasource}")).Height(7).Span(8).Min(0).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom))
	for i, q := range p.queries {
		g.WithTarget(prometheus.NewDataqueryBuilder().Expr(q.expr).LegendFormat(q.legend).RefId(string(rune('A' + i))))
	}

	return g
}
