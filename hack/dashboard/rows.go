package main

// row is a row of panels.
type row struct {
	title  string
	panels []panel
}

// panel is a graph of series over time.
type panel struct {
	title, unit string
	about       string
	queries     []query
}

// query is an expression in PromQL, and how to name its series.
type query struct{ expr, legend string }

// logPanel shows log records, for one kind of store.
type logPanel struct{ title, kind, variable, expr string }

// failures are the failures in each interval that the graph has. A counter appears with
// the first failure in a namespace, so one that is new counts whole.
const failures = `((telltale_injection_failures_total{cluster=~"$cluster",namespace=~"$namespace",reason=~"$reason"}` +
	` unless last_over_time(telltale_injection_failures_total[$__rate_interval] offset $__rate_interval))` +
	` or increase(telltale_injection_failures_total{cluster=~"$cluster",namespace=~"$namespace",reason=~"$reason"}[$__rate_interval]))`

func rows() []row {
	return []row{failing(), reporting(), admissions(), audit(), process()}
}

func failing() row {
	return row{"Failures", []panel{
		{"By reason", "short", "Pods that started without an Injection. The README has the causes and cures.",
			[]query{{"sum by (reason) " + failures, "{{reason}}"}}},
		{"By namespace", "short", `The ten that have most. "other" are those without a label of their own.`,
			[]query{{"topk(10, sum by (cluster, namespace) " + failures + ")", "{{cluster}} {{namespace}}"}}},
		{"Since Telltale started", "short", "",
			[]query{{`topk(10, sum by (cluster, namespace, reason) (telltale_injection_failures_total{cluster=~"$cluster",namespace=~"$namespace",reason=~"$reason"}))`,
				"{{cluster}} {{namespace}} {{reason}}"}}},
	}}
}

func reporting() row {
	return row{"Are they shown?", []panel{
		{"Pending", "short", "Not on events (event) or in log records (otlp) yet. It should go back to 0.",
			[]query{{`sum by (cluster, sink) (telltale_report_pending{cluster=~"$cluster"})`, "{{cluster}} {{sink}}"}}},
		{"Oldest pending", "s", "",
			[]query{{`max by (cluster, sink) (telltale_report_oldest_pending_seconds{cluster=~"$cluster"})`, "{{cluster}} {{sink}}"}}},
		{"From a failure to its event, 99 %", "s", "",
			[]query{{`histogram_quantile(0.99, sum by (le, cluster, sink) (rate(telltale_report_delay_seconds_bucket{cluster=~"$cluster"}[$__rate_interval])))`,
				"{{cluster}} {{sink}}"}}},
		{"Shown", "short", "",
			[]query{{`sum by (cluster, sink) (increase(telltale_report_reported_total{cluster=~"$cluster"}[$__rate_interval]))`, "{{cluster}} {{sink}}"}}},
		{"Never to be shown", "short", "The cause says why.",
			[]query{{`sum by (cluster, sink, cause) (increase(telltale_report_unreported_total{cluster=~"$cluster"}[$__rate_interval]))`,
				"{{cluster}} {{sink}} {{cause}}"}}},
		{"Writes of events", "short", "",
			[]query{{`sum by (cluster, result) (increase(telltale_report_event_writes_total{cluster=~"$cluster"}[$__rate_interval]))`, "{{cluster}} {{result}}"}}},
	}}
}

func admissions() row {
	return row{"Admissions", []panel{
		{"By outcome", "reqps", "",
			[]query{{`sum by (cluster, outcome) (rate(telltale_admission_requests_total{cluster=~"$cluster"}[$__rate_interval]))`, "{{cluster}} {{outcome}}"}}},
		{"Time of an answer", "s", "",
			[]query{
				{`histogram_quantile(0.5, sum by (le, cluster) (rate(telltale_admission_duration_seconds_bucket{cluster=~"$cluster"}[$__rate_interval])))`, "{{cluster}} 50 %"},
				{`histogram_quantile(0.99, sum by (le, cluster) (rate(telltale_admission_duration_seconds_bucket{cluster=~"$cluster"}[$__rate_interval])))`, "{{cluster}} 99 %"},
			}},
		{"Injections applied", "short", "",
			[]query{{`sum by (cluster) (increase(telltale_injections_applied_total{cluster=~"$cluster"}[$__rate_interval]))`, "{{cluster}}"}}},
		{"Connections cut", "short", "There were too many.",
			[]query{{`sum by (cluster, group) (increase(telltale_connections_cut_total{cluster=~"$cluster"}[$__rate_interval]))`, "{{cluster}} {{group}}"}}},
	}}
}

func audit() row {
	return row{"Audit, canary, leader", []panel{
		{"Pods by state", "short", "Pods that exist, once for each Injection that selects them.",
			[]query{{`max by (cluster, state) (telltale_audit_pods{cluster=~"$cluster"})`, "{{cluster}} {{state}}"}}},
		{"Canary", "short", "Whether the API server asks Telltale about new pods.",
			[]query{{`max by (cluster, result) (telltale_canary{cluster=~"$cluster"}) == 1`, "{{cluster}} {{result}}"}}},
		{"Leaders", "short", "1 in each cluster.",
			[]query{{`sum by (cluster) (telltale_leader{cluster=~"$cluster"})`, "{{cluster}}"}}},
		{"Stopped", "short", "1: an administrator has stopped all injection.",
			[]query{{`max by (cluster) (telltale_stopped{cluster=~"$cluster"})`, "{{cluster}}"}}},
		{"Age of a replica's view", "s", "How long it has been behind another replica.",
			[]query{{`max by (cluster, pod) (telltale_view_age_seconds{cluster=~"$cluster"})`, "{{cluster}} {{pod}}"}}},
		{"Certificate expires in", "s", "",
			[]query{{`min by (cluster) (telltale_certificate_expiration_timestamp_seconds{cluster=~"$cluster"}) - time()`, "{{cluster}}"}}},
	}}
}

func process() row {
	return row{"Process", []panel{
		{"Memory", "bytes", "",
			[]query{{`process_resident_memory_bytes{cluster=~"$cluster",job="telltale-metrics"}`, "{{cluster}} {{pod}}"}}},
		{"CPU", "short", "Cores.",
			[]query{{`rate(process_cpu_seconds_total{cluster=~"$cluster",job="telltale-metrics"}[$__rate_interval])`, "{{cluster}} {{pod}}"}}},
		{"Owners told apart", "short", "Times reasons, times Injections.",
			[]query{{`sum by (cluster, sink) (telltale_report_keys{cluster=~"$cluster"})`, "{{cluster}} {{sink}}"}}},
	}}
}

func logPanels() []logPanel {
	return []logPanel{
		{"Records, in Loki", "loki", "${loki}",
			`{service_name="telltale"} | k8s_cluster_name=~"$cluster" | k8s_namespace_name=~"$namespace" | k8s_event_reason=~"$reason"`},
		{"Records, in VictoriaLogs", "victoriametrics-logs-datasource", "${victorialogs}",
			`"service.name":=telltale "k8s.cluster.name":~"$cluster" "k8s.namespace.name":~"$namespace" "k8s.event.reason":~"$reason"`},
	}
}
