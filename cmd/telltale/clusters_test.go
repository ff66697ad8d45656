//go:build apiserver && observe

package main

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/telltale-dev/telltale/test/backends"
	"github.com/telltale-dev/telltale/test/harness"
)

// clusters are two real ones. In both, pods of the same name lack the same Injection. One
// Prometheus, one Alertmanager and one store have both.
type clusters struct {
	all      map[string]*observed
	pods     map[string]int // that failed
	store    *backends.Store
	p        *backends.Prometheus
	receiver *backends.Receiver
}

// TestObserveClusters tells two clusters apart in each alert, rule, panel and record, and
// sees both at once.
func TestObserveClusters(t *testing.T) {
	t.Parallel()

	c := startClusters(t, map[string]int{"east": 2, "west": 3})

	t.Run("Records", c.records)
	t.Run("Panels", c.panels)
	t.Run("Rules", c.rules)
	t.Run("Alerts", c.alerts)
}

func startClusters(t *testing.T, pods map[string]int) *clusters {
	t.Helper()

	c := &clusters{all: map[string]*observed{}, pods: pods, store: backends.StartStore(t), receiver: backends.StartReceiver(t)}
	scrape := backends.Scrape{
		Clusters: map[string][]string{}, Rules: ruleFile,
		Alertmanager: backends.StartAlertmanager(t, backends.Routes(c.receiver, nil)).Address,
	}

	for name := range pods {
		o := observe(t, name, c.store, "--canary-interval="+canaryInterval.String())
		c.all[name], scrape.Clusters[name] = o, []string{o.r.Metrics}
	}

	for _, o := range c.all {
		o.canaryFinds(t, "well") // else there is an alert already
	}

	c.p = backends.StartPrometheus(t, scrape)

	for name, o := range c.all {
		o.fails(t, "web", pods[name])
		o.has(t, pods[name])
	}

	return c
}

// fails has a new Deployment fail, with so many pods.
func (o *observed) fails(t *testing.T, app string, pods int) {
	t.Helper()
	o.apply(t, envInjection(app, app, "HTTP_PROXY", "ours")+deployment(app, 0))
	o.inForce(t)
	o.scale(t, app, pods)
}

// records: each names its cluster, by its name and by its uid.
func (c *clusters) records(t *testing.T) {
	rows, err := c.store.Query(t.Context(), `"service.name":=telltale | uniq by ("k8s.cluster.name", "k8s.cluster.uid")`)
	if err != nil {
		t.Fatal(err)
	}

	uids := map[string]string{}
	for _, row := range rows {
		uids[row["k8s.cluster.uid"]] = row["k8s.cluster.name"]
	}

	want := map[string]string{}
	for name, o := range c.all {
		want[o.kubectl(t, "get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")] = name
	}

	if len(rows) != len(want) || !maps.Equal(uids, want) {
		t.Errorf("the records are of %v, and the clusters are %v", uids, want)
	}
}

// panels: with one cluster chosen, a panel has series of that one alone, and with all
// chosen, of both.
func (c *clusters) panels(t *testing.T) {
	for chosen, want := range map[string][]string{"east": {"east"}, "west": {"west"}, ".*": {"east", "west"}} {
		for _, panel := range panels(t) {
			for _, target := range panel.Targets {
				expr := strings.NewReplacer("$cluster", chosen, "$namespace", ".*", "$reason", ".*", "$__rate_interval", "1h").Replace(target.Expr)

				switch panel.Datasource.Type {
				case "prometheus":
					c.graph(t, panel.Title, expr, want)
				case "victoriametrics-logs-datasource":
					c.log(t, expr, want)
				}
			}
		}
	}
}

// graph waits until a query has series of these clusters. If it adds clusters up, its sum
// is that of their failures.
func (c *clusters) graph(t *testing.T, title, expr string, want []string) {
	t.Helper()

	apart := regexp.MustCompile(`by \([^)]*cluster`).MatchString(expr) || !strings.Contains(expr, " by (")

	harness.Eventually(t, title, func(ctx context.Context) error {
		series, err := c.p.Query(ctx, expr)
		if err != nil {
			return err
		}

		if !apart {
			return c.adds(series, want)
		}

		if got := clustersOf(series); !slices.Equal(got, want) {
			return fmt.Errorf("series of %q, want %q: %s", got, want, expr)
		}

		return nil
	})
}

// adds is an error unless series add up to the failures of some clusters.
func (c *clusters) adds(series []backends.Series, of []string) error {
	got, want := 0., 0

	for _, s := range series {
		text, _ := s.Value[1].(string)

		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}

		got += n
	}

	for _, name := range of {
		want += c.pods[name]
	}

	if got != float64(want) {
		return fmt.Errorf("%v failures, want %d", got, want)
	}

	return nil
}

// log waits until a query has records of these clusters.
func (c *clusters) log(t *testing.T, query string, want []string) {
	t.Helper()

	harness.Eventually(t, "records", func(ctx context.Context) error {
		rows, err := c.store.Query(ctx, query)
		if err != nil {
			return err
		}

		names := map[string]bool{}
		for _, row := range rows {
			names[row["k8s.cluster.name"]] = true
		}

		if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, want) {
			return fmt.Errorf("records of %q, want %q: %s", got, want, query)
		}

		return nil
	})
}

// rules: each series that a rule records is of one cluster.
func (c *clusters) rules(t *testing.T) {
	harness.Eventually(t, "both clusters in the recorded series", func(ctx context.Context) error {
		series, err := c.p.Query(ctx, `{__name__=~"cluster(_namespace)?:telltale_.+"}`)
		if got := clustersOf(series); err == nil && !slices.Equal(got, []string{"east", "west"}) {
			err = fmt.Errorf("series of %q", got)
		}

		return err
	})
}

// alerts: both have the alert about their pods. Then one alone loses its registration. No
// alert is of another cluster or of none.
func (c *clusters) alerts(t *testing.T) {
	told := func(alert map[string]string) {
		harness.Eventually(t, "a notification", func(context.Context) error {
			_, err := c.receiver.Find(backends.Firing, time.Time{}, alert)

			return err
		})
	}

	for name := range c.all {
		told(labels("TelltaleInjectionsFail", "namespace=shop", "cluster="+name))
	}

	c.all["west"].kubectl(t, "delete", "mutatingwebhookconfiguration", "telltale")
	told(labels("TelltaleCanaryBypassed", "cluster=west"))

	for _, n := range c.receiver.Notices() {
		alert, cluster := n.Labels["alertname"], n.Labels["cluster"]
		if c.all[cluster] == nil || alert == "TelltaleCanaryBypassed" && cluster != "west" {
			t.Errorf("%s is told of cluster %q", alert, cluster)
		}
	}
}

// clustersOf returns the clusters that series are of. A series without one is of "".
func clustersOf(series []backends.Series) []string {
	all := map[string]bool{}
	for _, s := range series {
		all[s.Metric["cluster"]] = true
	}

	return slices.Sorted(maps.Keys(all))
}
