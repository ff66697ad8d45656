package backends

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/telltale-dev/telltale/test/child"
	"github.com/telltale-dev/telltale/test/controlplane"
)

// Alertmanager is a real Alertmanager.
type Alertmanager struct {
	*child.Process

	Address string
}

// LaunchAlertmanager starts an Alertmanager. Its configuration, which amtool must take, its
// data and its log are in a folder.
func LaunchAlertmanager(ctx context.Context, dir, config string) (*Alertmanager, error) {
	file, err := write(dir, "alertmanager.yaml", config)
	if err != nil {
		return nil, err
	}
	amtool, err := program(alertmanagerFolder, "amtool")
	if err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, amtool, "check-config", file).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("amtool check-config: %w: %s", err, out)
	}
	at, err := controlplane.FreeAddress()
	if err != nil {
		return nil, err
	}
	process, err := serve(ctx, dir, "http://"+at+"/-/ready", alertmanagerFolder, "alertmanager", "--config.file="+file,
		"--storage.path="+filepath.Join(dir, "alertmanager"), "--web.listen-address="+at, "--cluster.listen-address=")

	return &Alertmanager{Process: process, Address: at}, err
}

// StartAlertmanager starts an Alertmanager that ends with the test.
func StartAlertmanager(t *testing.T, config string) *Alertmanager {
	t.Helper()
	a, err := LaunchAlertmanager(t.Context(), t.TempDir(), config)
	if err != nil {
		t.Fatal(err)
	}
	endWith(t, a.Process, "Alertmanager")

	return a
}

// Routes is the configuration of an Alertmanager that tells a team of the alerts of its
// namespace, and others of all else. It waits for a second at most.
func Routes(others *Receiver, teams map[string]*Receiver) string {
	var routes, receivers strings.Builder
	receivers.WriteString(others.config("others"))
	for _, namespace := range slices.Sorted(maps.Keys(teams)) {
		fmt.Fprintf(&routes, "  - {receiver: %[1]q, matchers: ['namespace=%[1]q']}\n", namespace)
		receivers.WriteString(teams[namespace].config(namespace))
	}

	return fmt.Sprintf(`route:
  receiver: others
  group_by: [alertname, cluster, namespace]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
  routes:
%sreceivers:
%s`, routes.String(), receivers.String())
}
