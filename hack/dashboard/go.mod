// The dashboard of config/grafana as code. A module of its own, so that Telltale has
// none of its dependencies.
module github.com/telltale-dev/telltale/hack/dashboard

go 1.26.5

require github.com/grafana/grafana-foundation-sdk/go v0.0.22
